"""Descriptors and fingerprints of whole molecules, by name; for trees, and beside the graph for networks.

Only numpy is imported here (and RDKit where it is used): this module is what the worker processes load.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from pyg_samsa.chem.molecule_vectors import VectorFunction, molecule_vectors
from pyg_samsa.chem.ogb_features import import_rdkit
from pyg_samsa.errors import ConfigError, check_choice
from pyg_samsa.registry import register_in

_SIZE = 2048
_MACCS_SIZE = 167
MAX_ATOMS = 2_000
"""Larger molecules have no descriptors."""
_WORTH_WORKERS = 512
_RESCALED_ABOVE, _LARGEST_EXPONENT = 1e200, 1000.0
_UNREACHED = 1e6
_LARGEST = float(np.finfo(np.float32).max)


class Descriptor(NamedTuple):
    """A descriptor: labels of its F columns, and the function that computes them.

    Attributes:
        labels: One label for each column.
        compute: RDKit molecule -> numbers [F]; NaN where one is not defined.
        counts: Whether the numbers count fragments, 0 where one is absent.

    Example:
        >>> Descriptor(("atoms",), lambda molecule: np.array([molecule.GetNumAtoms()])).labels
        ('atoms',)
    """

    labels: tuple[str, ...]
    compute: VectorFunction
    counts: bool = False


Factory = Callable[[], Descriptor]
DESCRIPTORS: dict[str, Factory] = {}
"""Functions that make a `Descriptor`, by the names that ``dataset.descriptors`` takes."""


def register_descriptor(name: str) -> Callable[[Factory], Factory]:
    """Return a decorator that adds a descriptor under a name, which ``dataset.descriptors`` then takes.

    Args:
        name: The name; it must not be taken.

    Raises:
        ConfigError: The name is taken.

    Example:
        >>> @register_descriptor("num_atoms")
        ... def num_atoms():
        ...     return Descriptor(("atoms",), lambda molecule: np.array([molecule.GetNumAtoms()]))
        >>> compute_descriptors(["CCO"], ["num_atoms"], progress=False).tolist()
        [[3.0]]
        >>> del DESCRIPTORS["num_atoms"]
    """
    return register_in(DESCRIPTORS, "descriptor", name)


def compute_descriptors(
    smiles: Sequence[str],
    names: Sequence[str],
    *,
    workers: int | None = None,
    progress: bool = True,
    on_done: Callable[[float], None] | None = None,
) -> np.ndarray:
    r"""Compute descriptors of molecules with RDKit; every molecule is read once for all of them.

    ========================  =======  ==============================================================================
    name                      columns  what
    ========================  =======  ==============================================================================
    ``rdkit2d``               217      RDKit's descriptors of the 2D structure, such as mass, logP and counts of
                                       fragments; the number depends on RDKit's version
    ``morgan``                2048     circular fragments up to radius 2 (ECFP4), 1 where present:
                                       `Rogers and Hahn, 2010 <https://doi.org/10.1021/ci100050t>`_
    ``morgan_count``          2048     how often they occur
    ``topological_torsion``   2048     counts of paths of four atoms:
                                       `Nilakantan et al., 1987 <https://doi.org/10.1021/ci00054a008>`_
    ``atom_pair``             2048     counts of pairs of atoms and their distances:
                                       `Carhart et al., 1985 <https://doi.org/10.1021/ci00046a002>`_
    ``rdkit_path``            2048     counts of paths and branched subgraphs of 1 to 7 bonds
    ``maccs``                 167      MACCS keys, 1 where present:
                                       `Durant et al., 2002 <https://doi.org/10.1021/ci010132r>`_
    ========================  =======  ==============================================================================

    Counts are folded to 2048 columns without chirality. In ``rdkit2d``, Ipc and AvgIpc are computed from the
    eigenvalues of the adjacency matrix, because RDKit's own recursion takes seconds for a large peptide, and rounding
    errors make it wrong there: a hundredfold at 92 atoms.

    Args:
        smiles: G molecules; blanks around them are ignored.
        names: Names of `DESCRIPTORS`, in the order of the columns.
        workers: Processes; None is one for each core that this process may use where the list is long, 1 stays in this
            process.
        progress: Show a progress bar.
        on_done: Called with numbers of molecules that are done, in place of the progress bar.

    Shapes:
        - **output:** float32 [G, F]; NaN where a value is not defined for a molecule, and for molecules of more than
          2,000 atoms

    Raises:
        SmilesError: A molecule cannot be read; its ``row`` counts from 1.
        ConfigError: A name is unknown or given twice, or ``workers`` is less than 1.
        MissingDependencyError: RDKit is not installed.

    Example:
        >>> values = compute_descriptors(["CCO", "C"], ["rdkit2d", "maccs"], progress=False)
        >>> mass = descriptor_labels(["rdkit2d", "maccs"]).index("MolWt")
        >>> values.shape, values[:, mass].round(2).tolist()
        ((2, 384), [46.06999969482422, 16.040000915527344])

    Cost: a molecule of 20 atoms takes 10 to 20 ms for ``rdkit2d``, 3 ms for ``rdkit_path`` and about 0.5 ms for each of
    the others; a peptide of 150 atoms 90 ms, 8 ms and 2 to 8 ms.
    """
    check_descriptors(names)
    return molecule_vectors(
        smiles,
        descriptor_function(names),
        len(descriptor_labels(names)),
        workers=workers,
        worthwhile=_WORTH_WORKERS,
        progress=progress,
        description="Descriptors",
        on_done=on_done,
    )


def check_descriptors(names: Sequence[str], key: str = "descriptors") -> None:
    """Raise a `ConfigError` unless all names are known and different.

    Args:
        names: Names of descriptors.
        key: Name of the setting, for the error.

    Example:
        >>> check_descriptors(["rdkit2d", "mac"])
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: descriptors: got 'mac', expected one of 'rdkit2d', 'morgan', ...
    """
    if isinstance(names, str):
        raise ConfigError(key, names, "a list of names", hint=f"Write [{names}].")
    for name in names:
        check_choice(key, name, DESCRIPTORS)
    if len(set(names)) < len(names):
        raise ConfigError(key, list(names), "different names")


def descriptor_labels(names: Sequence[str]) -> list[str]:
    """Return the label of each column of descriptors.

    Args:
        names: Names of `DESCRIPTORS`, in the order of the columns.

    Raises:
        ConfigError: A name is unknown or given twice.

    Example:
        >>> labels = descriptor_labels(["rdkit2d", "morgan"])
        >>> len(labels), labels[-1], "MolLogP" in labels
        (2265, 'morgan_2047', True)
    """
    check_descriptors(names)
    return [label for name in names for label in DESCRIPTORS[name]().labels]


def fragment_columns(names: Sequence[str]) -> np.ndarray:
    """Return which columns of descriptors count fragments, bool [F].

    Args:
        names: Names of `DESCRIPTORS`, in the order of the columns.

    Raises:
        ConfigError: A name is unknown or given twice.

    Example:
        >>> fragment_columns(["rdkit2d", "maccs"]).sum()
        np.int64(167)
    """
    check_descriptors(names)
    made = [DESCRIPTORS[name]() for name in names]
    return np.concatenate([np.empty(0, bool), *(np.full(len(one.labels), one.counts) for one in made)])


def descriptor_function(names: Sequence[str]) -> Callable[[], VectorFunction]:
    """Return what makes the function molecule -> float32 [F] of some descriptors; worker processes can be sent it.

    Args:
        names: Names of `DESCRIPTORS`, in the order of the columns.

    Raises:
        ConfigError: A name is unknown or given twice.

    Example:
        >>> from rdkit import Chem
        >>> descriptor_function(["maccs"])()(Chem.MolFromSmiles("CCO")).shape
        (167,)
    """
    check_descriptors(names)
    # The functions and not their names: a worker process has not registered the descriptors of a user.
    return partial(_make_function, tuple(DESCRIPTORS[name] for name in names))


def _make_function(factories: Sequence[Factory]) -> VectorFunction:
    made = [factory() for factory in factories]
    return partial(_compute, [one.compute for one in made], sum(len(one.labels) for one in made))


def _compute(functions: Sequence[VectorFunction], width: int, molecule: Any) -> np.ndarray:
    from rdkit import rdBase

    if molecule.GetNumAtoms() > MAX_ATOMS:
        # RDKit's matrices of distances would take gigabytes for a single molecule.
        return np.full(width, np.nan, dtype=np.float32)
    with rdBase.BlockLogs():
        parts = [np.asarray(function(molecule), dtype=np.float64) for function in functions]
    values = np.concatenate([np.empty(0), *parts])
    values[~np.isfinite(values)] = np.nan
    return np.clip(values, -_LARGEST, _LARGEST).astype(np.float32)


@register_descriptor("rdkit2d")
@cache
def _rdkit2d() -> Descriptor:
    import_rdkit()
    from rdkit.Chem import Descriptors

    shared = {name for names in _SHARED for name in names}
    places = {name: place for place, (name, _) in enumerate(Descriptors._descList)}
    single = [(places[name], function) for name, function in Descriptors._descList if name not in shared]
    # RDKit computes descriptors of one kind one by one, each from the beginning.
    groups = [([places[name] for name in names], function) for names, function in _SHARED.items()]
    return Descriptor(tuple(places), partial(_values_of_functions, len(places), single, groups))


def _values_of_functions(
    size: int,
    single: Sequence[tuple[int, Callable[[Any], float]]],
    groups: Sequence[tuple[list[int], Callable[[Any], Sequence[float]]]],
    molecule: Any,
) -> np.ndarray:
    values = np.full(size, np.nan)
    parts: list[tuple[Any, Callable[[Any], Any]]] = [*single, *groups]
    for places, function in parts:
        try:
            values[places] = function(molecule)
        except Exception:  # RDKit has exception types of its own; the value is then not defined for this molecule
            continue
    return values


def _estate_indices(molecule: Any) -> tuple[float, ...]:
    r"""Return the extrema of the electrotopological states S of the atoms.

    With the intrinsic states I and the distances d in bonds
    (`Hall, Mohney and Kier, 1991 <https://doi.org/10.1021/ci00001a012>`_):

    .. math::
        S_i = I_i + \sum_{j \ne i} \frac{I_i - I_j}{(d_{ij} + 1)^2}

    Atoms of other fragments do not count. RDKit computes the same in a loop over pairs of atoms.
    """
    from rdkit.Chem.EState.EState import GetPrincipleQuantumNumber

    chem = import_rdkit()
    outer = chem.GetPeriodicTable().GetNOuterElecs
    intrinsic = np.zeros(molecule.GetNumAtoms())
    for place, atom in enumerate(molecule.GetAtoms()):
        if degree := atom.GetDegree():
            number = atom.GetAtomicNum()
            valence = outer(number) - atom.GetTotalNumHs()
            intrinsic[place] = (4.0 / GetPrincipleQuantumNumber(number) ** 2 * valence + 1) / degree
    distance = chem.GetDistanceMatrix(molecule) + 1
    weight = np.where(distance < _UNREACHED, distance, np.inf) ** -2.0
    states = intrinsic + (weight * (intrinsic[:, None] - intrinsic)).sum(1)
    return states.max(), states.min(), np.abs(states).max(), np.abs(states).min()


def _bcut(molecule: Any) -> Sequence[float]:
    from rdkit.Chem.rdMolDescriptors import BCUT2D

    return list(BCUT2D(molecule))


def _information_content(molecule: Any) -> tuple[float, float]:
    r"""Return Ipc and AvgIpc of a molecule: the information content of its characteristic polynomial.

    With the coefficients :math:`c_i` of the characteristic polynomial of the adjacency matrix
    (`Bonchev and Trinajstic, 1977 <https://doi.org/10.1063/1.434593>`_):

    .. math::
        p_i = \frac{|c_i|}{\sum_j |c_j|}, \qquad
        \mathrm{AvgIpc} = -\sum_i p_i \log_2 p_i, \qquad \mathrm{Ipc} = \mathrm{AvgIpc} \sum_j |c_j|

    Cost: O(N^3) for N atoms.
    """
    adjacency = import_rdkit().GetAdjacencyMatrix(molecule).astype(np.float64)
    coefficients, exponent = np.ones(1), 0.0
    # The eigenvalues of most molecules come in pairs of both signs. Multiplied pair by pair, no digits cancel.
    eigenvalues = np.linalg.eigvalsh(adjacency)
    pairs = np.stack([eigenvalues, eigenvalues[::-1]], axis=1).flatten()[: len(eigenvalues)]
    for eigenvalue in pairs:
        coefficients = np.convolve(coefficients, (1.0, -eigenvalue))
        largest = np.abs(coefficients).max()
        if largest > _RESCALED_ABOVE:
            coefficients, exponent = coefficients / largest, exponent + math.log2(largest)
    total = float(np.abs(coefficients).sum())
    shares = np.abs(coefficients) / total
    shares = shares[shares > 0]
    average = -float(shares @ np.log2(shares))
    return average * 2.0 ** min(exponent + math.log2(total), _LARGEST_EXPONENT), average


_BCUT = (
    "BCUT2D_MWHI",
    "BCUT2D_MWLOW",
    "BCUT2D_CHGHI",
    "BCUT2D_CHGLO",
    "BCUT2D_LOGPHI",
    "BCUT2D_LOGPLOW",
    "BCUT2D_MRHI",
    "BCUT2D_MRLOW",
)
_ESTATE = ("MaxEStateIndex", "MinEStateIndex", "MaxAbsEStateIndex", "MinAbsEStateIndex")
_SHARED: dict[tuple[str, ...], Callable[[Any], Sequence[float]]] = {
    ("Ipc", "AvgIpc"): _information_content,
    _ESTATE: _estate_indices,
    _BCUT: _bcut,
}


@register_descriptor("morgan")
@cache
def _morgan() -> Descriptor:
    return _fingerprint("morgan", "GetMorganGenerator", "GetFingerprintAsNumPy", radius=2)


@register_descriptor("morgan_count")
@cache
def _morgan_count() -> Descriptor:
    return _fingerprint("morgan_count", "GetMorganGenerator", radius=2)


@register_descriptor("topological_torsion")
@cache
def _topological_torsion() -> Descriptor:
    return _fingerprint("topological_torsion", "GetTopologicalTorsionGenerator")


@register_descriptor("atom_pair")
@cache
def _atom_pair() -> Descriptor:
    return _fingerprint("atom_pair", "GetAtomPairGenerator")


@register_descriptor("rdkit_path")
@cache
def _rdkit_path() -> Descriptor:
    return _fingerprint("rdkit_path", "GetRDKitFPGenerator")


def _fingerprint(name: str, generator: str, method: str = "GetCountFingerprintAsNumPy", **options: Any) -> Descriptor:
    import_rdkit()
    from rdkit.Chem import rdFingerprintGenerator

    made = getattr(rdFingerprintGenerator, generator)(fpSize=_SIZE, **options)
    return Descriptor(_numbered(name, _SIZE), getattr(made, method), counts=True)


@register_descriptor("maccs")
@cache
def _maccs() -> Descriptor:
    import_rdkit()
    return Descriptor(_numbered("maccs", _MACCS_SIZE), _maccs_keys, counts=True)


def _maccs_keys(molecule: Any) -> np.ndarray:
    from rdkit import DataStructs
    from rdkit.Chem import rdMolDescriptors

    keys = np.zeros(0, np.uint8)
    DataStructs.ConvertToNumpyArray(rdMolDescriptors.GetMACCSKeysFingerprint(molecule), keys)
    return keys


def _numbered(name: str, size: int) -> tuple[str, ...]:
    return tuple(f"{name}_{number}" for number in range(size))
