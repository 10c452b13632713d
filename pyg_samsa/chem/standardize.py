"""Standardised molecules: one form of a molecule for all of its salts, charges and tautomers.

Only RDKit is imported here, where it is used: worker processes load this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from pyg_samsa.chem.ogb_features import import_rdkit, parse_smiles, why_too_large
from pyg_samsa.chem.smiles_text import SAFE_ATOMS, as_smiles, write_smiles
from pyg_samsa.errors import ConfigError, SmilesError

STEPS = ("fragment", "neutralize", "tautomer", "drop_stereo")
"""All steps, in the order in which they are done."""
MAX_TAUTOMERS = 1_000
"""A molecule with more tautomers is refused by the step ``tautomer``."""
_ROUNDS = 8
_ALKALI = "[Li,Na,K,Rb,Cs]~[#7,#8,#16,F,Cl,Br,I]"


class Standardized(NamedTuple):
    """A standardised molecule.

    Attributes:
        smiles: Its canonical SMILES.
        mol: ``rdkit.Chem.Mol``, read from that SMILES.
        steps: The steps that changed it.

    Example:
        >>> Standardizer(["neutralize"]).apply("C[NH3+]").steps
        ('neutralize',)
    """

    smiles: str
    mol: Any
    steps: tuple[str, ...]


class StandardizeError(Exception):
    """A molecule cannot be standardised; caught in this package, where it becomes a refusal of its row.

    Args:
        reason: Why not.

    Example:
        >>> StandardizeError("no atoms are left").reason
        'no atoms are left'
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Standardizer:
    """Standardises molecules by RDKit's MolStandardize.

    The steps are done in this order, whatever the order in which they are given:

    ===============  ===================================================================================================
    ``fragment``     keep the largest fragment: with carbon before without, then the most atoms, the largest mass, and
                     the first SMILES. Alkali metals are cut from N, O, S and halogens before.
    ``neutralize``   add or remove hydrogen until as few atoms as possible are charged; quaternary nitrogen keeps its
                     charge, and an anion that balances it too
    ``tautomer``     take the canonical tautomer; stereochemistry is kept where it still has a meaning
    ``drop_stereo``  forget stereocentres and double bond geometry; isotopes stay
    ===============  ===================================================================================================

    The steps are repeated until nothing changes, starting from the canonical SMILES. So the result does not depend on
    how a molecule is written, and standardising it again changes nothing.

    Args:
        steps: Some of :data:`STEPS`; without any, only the canonical SMILES is written.

    Raises:
        ConfigError: There is no such step, or one is given twice.

    Example:
        >>> standardize = Standardizer(["neutralize", "fragment"])
        >>> standardize("CC(=O)[O-].[Na+]"), standardize.steps
        ('CC(=O)O', ('fragment', 'neutralize'))

    Cost: about 0.2 ms a molecule of 25 atoms for the SMILES, and the steps, see the documentation; ``tautomer`` takes
    most of the time.
    """

    steps: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", ordered_steps(self.steps))

    def __bool__(self) -> bool:
        return bool(self.steps)

    def __call__(self, molecule: Any) -> str:
        """Return the canonical SMILES of the standardised molecule.

        Args:
            molecule: SMILES, or ``rdkit.Chem.Mol``.

        Raises:
            SmilesError: The molecule cannot be read or standardised.
        """
        text = as_smiles(molecule)
        try:
            return self.apply(text.strip() if isinstance(text, str) else text).smiles
        except StandardizeError as error:
            raise SmilesError(None, str(text), error.reason) from None

    def apply(self, molecule: Any) -> Standardized:
        """Return the standardised molecule with what changed it.

        Args:
            molecule: SMILES, or ``rdkit.Chem.Mol``.

        Raises:
            StandardizeError: The molecule cannot be read or standardised.

        Example:
            >>> Standardizer(["fragment", "tautomer"]).apply("Oc1ccccn1.Cl")[::2]
            ('O=c1cccc[nH]1', ('fragment', 'tautomer'))
        """
        import_rdkit()
        from rdkit import rdBase

        mol = parse_smiles(molecule) if isinstance(molecule, str) else molecule
        if not hasattr(mol, "GetNumAtoms"):
            raise StandardizeError(mol if isinstance(mol, str) else parse_smiles(mol))
        if reason := why_too_large(mol, SAFE_ATOMS):
            raise StandardizeError(f"{reason}, of which molecules are standardised")
        changed: dict[str, None] = {}
        with rdBase.BlockLogs():
            text = _write(mol)
            for _ in range(_ROUNDS):
                mol, before = parse_smiles(text), text
                if isinstance(mol, str):
                    raise StandardizeError(f"its canonical SMILES {text[:80]} is invalid")
                for step in self.steps:
                    mol, text = self._step(step, mol, text, changed)
                if text == before:
                    return Standardized(text, mol, tuple(step for step in self.steps if step in changed))
        raise StandardizeError(f"the steps {', '.join(self.steps)} come to no end")

    def _step(self, step: str, mol: Any, text: str, changed: dict[str, None]) -> tuple[Any, str]:
        """Return the molecule and its SMILES after a step; ``changed`` gets the step if it changed the molecule."""
        try:
            found = _write(self._functions[step](mol))
        except StandardizeError:
            raise
        except Exception as error:  # RDKit has exception types of its own
            told = str(error).strip().splitlines()
            raise StandardizeError(
                f"the step {step} failed ({told[0][:80] if told else type(error).__name__})"
            ) from None
        if found == text:
            return mol, text
        changed[step] = None
        mol = parse_smiles(found)
        if isinstance(mol, str):
            raise StandardizeError(f"the step {step} gives the invalid molecule {found[:80]}")
        return mol, found

    @cached_property
    def _functions(self) -> dict[str, Callable[[Any], Any]]:
        # Objects of RDKit cannot be pickled: they are made where they are used.
        makers = {
            "fragment": _fragment,
            "neutralize": _neutralize,
            "tautomer": _tautomer,
            "drop_stereo": lambda: _drop_stereo,
        }
        return {step: makers[step]() for step in self.steps}

    def __getstate__(self) -> dict[str, Any]:
        return {"steps": self.steps}


def ordered_steps(steps: Iterable[str] | str, key: str = "standardize") -> tuple[str, ...]:
    """Return steps in the order in which they are done.

    Args:
        steps: Some of :data:`STEPS`; a text is split at blanks and commas.
        key: Name of the setting, for errors.

    Raises:
        ConfigError: There is no such step, or one is given twice.

    Example:
        >>> ordered_steps(["tautomer", "fragment"]), ordered_steps("neutralize")
        (('fragment', 'tautomer'), ('neutralize',))
    """
    given = steps.replace(",", " ").split() if isinstance(steps, str) else list(steps)
    for step in given:
        if step not in STEPS:
            raise ConfigError(key, step, STEPS)
    if len(set(given)) < len(given):
        raise ConfigError(key, given, "each step once")
    return tuple(step for step in STEPS if step in given)


def pack_steps(steps: Iterable[str]) -> int:
    """Return steps as the bits of a number, bit k for step k of :data:`STEPS`.

    Example:
        >>> pack_steps(["fragment", "tautomer"])
        5
    """
    return sum(1 << STEPS.index(step) for step in steps)


def unpack_steps(bits: int) -> tuple[str, ...]:
    """Return the steps that `pack_steps` was given.

    Example:
        >>> unpack_steps(5)
        ('fragment', 'tautomer')
    """
    return tuple(step for place, step in enumerate(STEPS) if bits >> place & 1)


def _write(mol: Any) -> str:
    text = write_smiles(mol)
    if not text:
        raise StandardizeError("no atoms are left")
    return text


def _fragment() -> Callable[[Any], Any]:
    from rdkit import Chem
    from rdkit.Chem.MolStandardize import rdMolStandardize

    parameters: Any = rdMolStandardize.CleanupParameters()
    parameters.preferOrganic = True
    chooser = rdMolStandardize.LargestFragmentChooser(parameters)
    # Other metals stay: their bonds may be those of a complex.
    salts = rdMolStandardize.MetalDisconnector()
    salts.SetMetalNof(Chem.MolFromSmarts(_ALKALI))
    salts.SetMetalNon(Chem.MolFromSmarts(_ALKALI))
    return lambda mol: chooser.choose(salts.Disconnect(mol))


def _neutralize() -> Callable[[Any], Any]:
    from rdkit.Chem.MolStandardize import rdMolStandardize

    return rdMolStandardize.Uncharger(True).uncharge


def _tautomer() -> Callable[[Any], Any]:
    from rdkit.Chem.MolStandardize import rdMolStandardize

    parameters: Any = rdMolStandardize.CleanupParameters()
    parameters.tautomerRemoveSp3Stereo = parameters.tautomerRemoveBondStereo = False
    parameters.tautomerRemoveIsotopicHs = False
    parameters.maxTautomers = parameters.maxTransforms = MAX_TAUTOMERS
    enumerator = rdMolStandardize.TautomerEnumerator(parameters)

    def canonical(mol: Any) -> Any:
        found = enumerator.Enumerate(mol)
        if found.status != rdMolStandardize.TautomerEnumeratorStatus.Completed:
            raise StandardizeError(f"more than {MAX_TAUTOMERS:,} tautomers or steps between them")
        return enumerator.PickCanonical(found)

    return canonical


def _drop_stereo(mol: Any) -> Any:
    from rdkit import Chem

    plain = Chem.Mol(mol)
    Chem.RemoveStereochemistry(plain)
    return plain
