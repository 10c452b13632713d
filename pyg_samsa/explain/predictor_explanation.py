"""Explanations of the molecules of any predictor: by its network where it has only one, else by occlusion."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pyg_samsa.chem.smiles_text import SAFE_ATOMS, as_smiles
from pyg_samsa.errors import ConfigError
from pyg_samsa.explain._passes import check_network, samples_tokens
from pyg_samsa.explain.molecule_explanation import (
    PICTURED,
    MoleculeExplanation,
    explain_molecules,
    note_on,
    readable_molecule,
)
from pyg_samsa.explain.molecule_occlusion import extra_of, molecule_occlusion
from pyg_samsa.predict import BlendPredictor, MoleculePredictor, Predictor
from pyg_samsa.predict.interface import ExtraColumns

OCCLUSION = ("occlusion",)


def methods_of(predictor: Predictor) -> tuple[str, ...]:
    """Return the methods that explain a predictor; all of them for a single network that samples tokens.

    Args:
        predictor: The predictor.

    Example:
        >>> methods_of(MoleculePredictor.from_pretrained("peptides"))
        ('sampled', 'contribution', 'occlusion')
    """
    network = _network(predictor)
    return PICTURED if network is not None and samples_tokens(network.model) else OCCLUSION


def explain_predictor(
    predictor: Predictor,
    molecules: Sequence[tuple[str, str]],
    *,
    target: str | None = None,
    methods: Sequence[str] | None = None,
    extra_columns: ExtraColumns | None = None,
    on_refusal: Callable[[int, str, str, str], None] | None = None,
    max_atoms: int | None = None,
) -> Iterator[MoleculeExplanation]:
    """Explain the predictions of any predictor, one molecule at a time.

    A single network is explained by the methods of `explain_molecules`. Models on descriptors, blends, and networks
    that read no bonds are explained by occlusion of the molecule itself, see `molecule_occlusion`.

    Args:
        predictor: The predictor.
        molecules: Name of each, and its SMILES or ``rdkit.Chem.Mol``.
        target: Name of the prediction to explain; by default the most likely of each molecule, or the first
            regression.
        methods: Some of `methods_of`; by default all of them.
        extra_columns: Name of a column -> a number for each molecule, for a predictor that needs it.
        on_refusal: Called with number, name, SMILES and reason of a molecule that cannot be read, which is then
            skipped; by default it is an error.
        max_atoms: Larger molecules are refused like those that cannot be read; None takes any. Occlusion of the
            molecule itself takes at most 1,000 atoms.

    Yields:
        The explanation of each molecule that could be read.

    Raises:
        ConfigError: There is no such target, the method does not explain the predictor, or a column is missing.
        SmilesError: A molecule cannot be read and ``on_refusal`` is None.

    Example:
        >>> predictor = MoleculePredictor.from_pretrained("peptides")
        >>> blend = BlendPredictor([predictor] * 2, [0.5, 0.5])
        >>> found, = explain_predictor(blend, [("glycine", "NCC(=O)O")], target="antimicrobial")
        >>> list(found.importance), found.target
        (['occlusion'], 'antimicrobial')
    """
    known = methods_of(predictor)
    methods = known if methods is None else tuple(methods)
    network = _network(predictor)
    _check_extra_columns(predictor, extra_columns, len(molecules))
    if network is not None:
        extra = {name: (extra_columns or {})[name] for name in network.extra_columns}
        yield from explain_molecules(
            network.model,
            network.task,
            molecules,
            target=target,
            methods=methods,
            descriptors=network.descriptors,
            extra_columns=extra,
            standardize=network.standardize,
            on_refusal=on_refusal,
            max_atoms=max_atoms,
        )
        return
    for method in methods:
        if method not in known:
            hint = "To explain the network of a run alone, pass its subfolder model."
            raise ConfigError("method", method, "'occlusion' unless it is a single network", hint=hint)
    names = predictor.target_names
    if target is not None and target not in names:
        raise ConfigError("target", target, names)
    column = None if target is None else names.index(target)
    rows = extra_of(extra_columns, len(molecules))
    std = predictor.target_std
    stds = {} if std is None else dict(zip(names, std.tolist(), strict=True))
    most = SAFE_ATOMS if max_atoms is None else min(max_atoms, SAFE_ATOMS)
    for number, ((name, molecule), values) in enumerate(zip(molecules, rows, strict=True)):
        given, steps = as_smiles(molecule), predictor.standardize
        read = readable_molecule(number, name, given, on_refusal, max_atoms=most, standardize=steps)
        if read is None:
            continue
        found = molecule_occlusion(predictor, read.smiles, target=column, extra_columns=values)
        readable = dict(zip(names, predictor.task.readable(found.prediction).tolist(), strict=True))
        kind, target, note = predictor.task.kind, names[found.target], note_on(read, given)
        importance = {"occlusion": found}
        yield MoleculeExplanation(name, read.smiles, read.mol, target, readable, importance, kind, stds, note=note)


def _check_extra_columns(predictor: Predictor, extra_columns: ExtraColumns | None, count: int) -> None:
    for name in predictor.extra_columns:
        if name not in (extra_columns or {}):
            hint = "The model was trained with this column: pass its numbers, NaN where they are unknown."
            raise ConfigError("extra_columns", sorted(extra_columns or {}), f"a column {name!r}", hint=hint)
    for name, values in (extra_columns or {}).items():
        if len(values) != count:
            raise ConfigError(f"extra_columns[{name!r}]", f"{len(values)} numbers", f"{count}, one for each molecule")


def _network(predictor: Predictor) -> MoleculePredictor | None:
    """Return the network of a predictor if it is the only member with a weight, and its tokens can be explained."""
    used = [predictor]
    if isinstance(predictor, BlendPredictor):
        used = [member for member, weights in zip(predictor.members, predictor.weights, strict=True) if weights.any()]
    if len(used) > 1 or not isinstance(used[0], MoleculePredictor):
        return None
    try:
        check_network(used[0].model)
    except ConfigError:
        return None
    return used[0]
