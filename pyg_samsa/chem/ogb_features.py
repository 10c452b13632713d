"""Atoms and bonds as the integers that the Open Graph Benchmark gives them (9 per atom, 3 per bond).

Only numpy is imported here (and RDKit where it is used): this module is what the worker processes load.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from pyg_samsa.chem.graph_table import GraphTable, make_table
from pyg_samsa.chem.smiles_text import is_mol, why_no_smiles
from pyg_samsa.errors import MissingDependencyError, SmilesError

ATOM_FEATURES = (
    "atomic number",
    "chirality",
    "degree",
    "formal charge",
    "hydrogens",
    "radical electrons",
    "hybridization",
    "aromatic",
    "in ring",
)
BOND_FEATURES = ("bond type", "stereo", "conjugated")
ATOM_CARDINALITIES = [119, 5, 12, 12, 10, 6, 6, 2, 2]
"""Number of values of each atom feature."""
BOND_CARDINALITIES = [5, 6, 2]
"""Number of values of each bond feature."""

_CHIRALITY = ("CHI_UNSPECIFIED", "CHI_TETRAHEDRAL_CW", "CHI_TETRAHEDRAL_CCW", "CHI_OTHER")
_HYBRIDIZATION = ("SP", "SP2", "SP3", "SP3D", "SP3D2")
_BOND_TYPE = ("SINGLE", "DOUBLE", "TRIPLE", "AROMATIC")
_STEREO = ("STEREONONE", "STEREOZ", "STEREOE", "STEREOCIS", "STEREOTRANS", "STEREOANY")


UNREADABLE, TOO_LARGE = "unreadable", "too large"


class Refusal(NamedTuple):
    """Why one molecule of a list is refused: its place in the list, the reason, and of which kind the reason is.

    The kind is ``"unreadable"`` or ``"too large"``.

    Example:
        >>> smiles_to_table(["C", "C("]).reason
        'RDKit cannot read this SMILES (the bracket ( is not closed)'
    """

    position: int
    reason: str
    kind: str = UNREADABLE

    def error(self, molecules: Sequence[object], begin: int = 0) -> SmilesError:
        """Return the error about this molecule of a list.

        Args:
            molecules: The whole list.
            begin: Place in it from which the position counts.

        Example:
            >>> str(Refusal(1, "3 atoms, more than 2", "too large").error(["C", "CCO"]))
            "row 2: 3 atoms, more than 2: 'CCO'"
        """
        place = begin + self.position
        hint = "Leave it out, or raise max_atoms." if self.kind == TOO_LARGE else ""
        return SmilesError(place + 1, str(molecules[place]), self.reason, hint=hint)


def import_rdkit() -> Any:
    """Return ``rdkit.Chem``, or raise an error that says how to install it.

    Example:
        >>> import_rdkit().MolFromSmiles("CCO").GetNumAtoms()
        3
    """
    try:
        from rdkit import Chem
    except ImportError as error:
        raise MissingDependencyError("rdkit", "chem", "Reading molecules") from error
    return Chem


class _Codes(NamedTuple):
    """The number of each of RDKit's enumeration values; looking names up for every atom would take half of the time."""

    chirality: dict[Any, int]
    hybridization: dict[Any, int]
    bond_type: dict[Any, int]
    stereo: dict[Any, int]


@cache
def _codes() -> _Codes:
    chem = import_rdkit()

    def numbers(enumeration: Any, names: Sequence[str], other: int) -> dict[Any, int]:
        return {value: names.index(name) if name in names else other for name, value in enumeration.names.items()}

    return _Codes(
        numbers(chem.ChiralType, _CHIRALITY, 4),
        numbers(chem.HybridizationType, _HYBRIDIZATION, 5),
        numbers(chem.BondType, _BOND_TYPE, 4),
        # The benchmark has no value for the stereo kinds that RDKit learned later (atropisomers): they count as "any
        # stereo", not as an error.
        numbers(chem.BondStereo, _STEREO, _STEREO.index("STEREOANY")),
    )


def _within(value: int, low: int, high: int, other: int) -> int:
    return value - low if low <= value <= high else other


def _atom(atom: Any, codes: _Codes) -> tuple[int, ...]:
    return (
        _within(atom.GetAtomicNum(), 1, 118, 118),
        codes.chirality[atom.GetChiralTag()],
        _within(atom.GetTotalDegree(), 0, 10, 11),
        _within(atom.GetFormalCharge(), -5, 5, 11),
        _within(atom.GetTotalNumHs(), 0, 8, 9),
        _within(atom.GetNumRadicalElectrons(), 0, 4, 5),
        codes.hybridization[atom.GetHybridization()],
        atom.GetIsAromatic(),
        atom.IsInRing(),
    )


def _bond(bond: Any, codes: _Codes) -> tuple[int, int, bool]:
    return codes.bond_type[bond.GetBondType()], codes.stereo[bond.GetStereo()], bond.GetIsConjugated()


def graph_arrays(mol: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turn an RDKit molecule into the arrays of its graph, with the features of the Open Graph Benchmark.

    Both directions of bond b are the neighbouring columns 2b and 2b + 1. Equal, bit for bit, to
    ``ogb.utils.smiles2graph`` (Hu et al., "Open Graph Benchmark", 2020) if that function returns a graph.

    Args:
        mol: ``rdkit.Chem.Mol`` of N atoms and E / 2 bonds.

    Shapes:
        - **output:** x uint8 [N, 9], edge_index int32 [2, E], edge_attr uint8 [E, 3].

    Example:
        >>> from rdkit import Chem
        >>> x, edge_index, edge_attr = graph_arrays(Chem.MolFromSmiles("C=O"))
        >>> x[:, 0].tolist(), edge_index.tolist(), edge_attr.tolist()
        ([5, 7], [[0, 1], [1, 0]], [[1, 0, 0], [1, 0, 0]])

    Cost: O(N + E) calls into RDKit, about 10 microseconds an atom.
    """
    codes = _codes()
    x = np.array([_atom(atom, codes) for atom in mol.GetAtoms()], dtype=np.uint8).reshape(-1, len(ATOM_FEATURES))
    bonds = list(mol.GetBonds())
    ends = np.array([(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in bonds], dtype=np.int32).reshape(-1, 2)
    features = np.array([_bond(bond, codes) for bond in bonds], dtype=np.uint8).reshape(-1, len(BOND_FEATURES))
    edge_index = np.stack([ends, ends[:, ::-1]], axis=1).reshape(-1, 2).T
    return x, np.ascontiguousarray(edge_index), np.repeat(features, 2, axis=0)


# Blanks, marks of direction, spaces without width, soft hyphens: they come with text that is copied from documents.
_AROUND = "".join(
    one
    for one in map(chr, range(2**16))
    if one.isspace() or unicodedata.category(one) in ("Cf", "Zs", "Zl", "Zp") or 0xFE00 <= ord(one) <= 0xFE0F
)


def clean_smiles(text: str) -> str:
    r"""Return a SMILES without blanks and invisible characters around it.

    Example:
        >>> clean_smiles(" CCO\u200b")
        'CCO'
    """
    return text.strip(_AROUND)


def parse_smiles(smiles: object) -> Any | str:
    """Return the RDKit molecule of a SMILES, or the reason why it is invalid; RDKit's log is silenced.

    Example:
        >>> parse_smiles("CCO").GetNumAtoms(), parse_smiles("C(")
        (3, 'RDKit cannot read this SMILES (the bracket ( is not closed)')
    """
    chem = import_rdkit()
    from rdkit import rdBase

    if is_mol(smiles):
        return why_no_smiles(smiles)  # those that can be written are SMILES already
    if not isinstance(smiles, str):
        nothing = smiles is None or str(smiles) in ("nan", "<NA>")
        return f"no molecule ({smiles})" if nothing else f"not a SMILES but a value of type {type(smiles).__name__}"
    if not (text := clean_smiles(smiles)):
        return "empty SMILES"
    # A name may follow. RDKit leaves out characters beyond ASCII at both ends, and would read "CO²" as CO.
    structure = re.split(r"[ \t]", text, maxsplit=1)[0]
    wrong = next((one for one in structure if not (one.isascii() and one.isprintable())), "")
    if wrong:
        return f"this SMILES has the character {wrong!r} (U+{ord(wrong):04X})"
    try:
        with rdBase.BlockLogs():
            mol = chem.MolFromSmiles(text)
    except UnicodeError:
        return "this SMILES is not UTF-8 text"
    except RuntimeError:  # an assertion inside RDKit
        mol = None
    if mol is None:
        return f"RDKit cannot read this SMILES{_problem_of(text)}"
    return mol if mol.GetNumAtoms() else "no atoms"


_PROBLEMS = {"AtomValenceException": "has too many bonds", "AtomKekulizeException": "is aromatic and in no ring"}


def _problem_of(smiles: str) -> str:
    """Return what is wrong with a SMILES, in brackets; nothing if it is not known."""
    chem = import_rdkit()
    from rdkit import rdBase

    try:
        with rdBase.BlockLogs():
            mol = chem.MolFromSmiles(smiles, sanitize=False)
            found = [] if mol is None else list(chem.DetectChemistryProblems(mol))
    except (RuntimeError, ValueError):
        return ""
    if mol is None:
        return _syntax_problem_of(smiles)
    if not found:
        return ""
    first = found[0]
    kind = first.GetType()
    if kind == "KekulizeException":
        return f" (no double bonds fit its aromatic ring{'; is an [nH] missing?' if _has_bare_nitrogen(mol) else ''})"
    if kind not in _PROBLEMS:
        return ""
    atom = mol.GetAtomWithIdx(first.GetAtomIdx())
    return f" ({atom.GetSymbol()}{atom.GetIdx()}, counted from 0, {_PROBLEMS[kind]})"


def _syntax_problem_of(smiles: str) -> str:
    """Return which bracket or ring of a SMILES is open, in brackets; nothing if none is."""
    outside = re.sub(r"\[[^][]*\]", "", smiles)  # digits in brackets are isotopes, charges and hydrogens
    if "[" in outside or "]" in outside:
        return f" (the bracket {'[ is not closed' if '[' in outside else '] closes nothing'})"
    open_branches = 0
    for character in outside:
        open_branches += (character == "(") - (character == ")")
        if open_branches < 0:
            return " (the bracket ) closes nothing)"
    if open_branches:
        return " (the bracket ( is not closed)"
    rings = Counter(re.findall(r"%\(\d+\)|%\d\d|\d", outside))
    odd = [ring.strip("%()") for ring, count in rings.items() if count % 2]
    return f" (ring {odd[0]} is not closed)" if odd else ""


def _has_bare_nitrogen(mol: Any) -> bool:
    """Return whether an aromatic nitrogen has two neighbours and no hydrogen; the molecule was not sanitised."""
    mol.UpdatePropertyCache(strict=False)
    nitrogen = [atom for atom in mol.GetAtoms() if atom.GetIsAromatic() and atom.GetSymbol() == "N"]
    return any(atom.GetDegree() == 2 and not atom.GetTotalNumHs() for atom in nitrogen)


def why_too_large(mol: Any, max_atoms: int | None) -> str:
    """Return why a molecule is refused for its size; empty if it is not.

    Args:
        mol: ``rdkit.Chem.Mol``.
        max_atoms: Largest number of atoms; None takes any.

    Example:
        >>> why_too_large(parse_smiles("CCO"), 2), why_too_large(parse_smiles("CCO"), None)
        ('3 atoms, more than 2', '')
    """
    too_large = max_atoms is not None and mol.GetNumAtoms() > max_atoms
    return f"{mol.GetNumAtoms():,} atoms, more than {max_atoms:,}" if too_large else ""


def smiles_to_table(smiles: Sequence[str], max_atoms: int | None = None) -> GraphTable | Refusal:
    """Convert a list of SMILES in this process; the first one that cannot be read ends it.

    Args:
        smiles: Molecules.
        max_atoms: A larger molecule is refused; None takes any.

    Returns:
        The graphs, or a :class:`Refusal` (an exception would lose its fields on the way out of a worker process).

    Example:
        >>> smiles_to_table(["CC", "C"]).num_edges.tolist(), smiles_to_table(["C", "not"])
        ([2, 0], Refusal(position=1, reason='RDKit cannot read this SMILES', kind='unreadable'))
    """
    parts = []
    for position, text in enumerate(smiles):
        mol = parse_smiles(text)
        if isinstance(mol, str):
            return Refusal(position, mol)
        if reason := why_too_large(mol, max_atoms):
            return Refusal(position, reason, TOO_LARGE)
        parts.append(graph_arrays(mol))
    return make_table(parts)
