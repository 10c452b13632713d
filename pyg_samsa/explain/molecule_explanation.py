"""Explanations of molecules from SMILES: predictions, token importance, tables and drawings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import Module

from pyg_samsa.chem.descriptors import compute_descriptors
from pyg_samsa.chem.molecule_changes import describe_steps
from pyg_samsa.chem.ogb_features import parse_smiles, why_too_large
from pyg_samsa.chem.smiles import smiles_to_data
from pyg_samsa.chem.smiles_text import as_smiles
from pyg_samsa.chem.standardize import Standardized, StandardizeError, Standardizer
from pyg_samsa.errors import ConfigError, SmilesError, check_choice
from pyg_samsa.explain.fragment import Molecule, Picture, Value, write_fragment
from pyg_samsa.explain.importance import TokenImportance, token_importance
from pyg_samsa.explain.similar_molecule import SimilarMolecule
from pyg_samsa.io.cells import write_number
from pyg_samsa.task import Task
from pyg_samsa.viz.molecules.drawing import MoleculeDrawing, draw_importance

if TYPE_CHECKING:
    import pandas as pd

PICTURED = ("sampled", "contribution", "occlusion")
"""The methods that drawings and pages show."""


@dataclass(frozen=True)
class MoleculeExplanation:
    """The predictions for a molecule, and the importance of its atoms and bonds.

    Attributes:
        name: Name of the molecule.
        smiles: SMILES as given; of a model that standardises molecules, the standardised one.
        mol: ``rdkit.Chem.Mol``.
        target: Name of the explained prediction.
        predictions: Name of a target -> probability, or value in the unit of the target.
        importance: Method -> importance of the tokens, in the units of :func:`label_of`.
        kind: Kind of the task, see :class:`~pyg_samsa.task.Task`.
        stds: Name of a target -> its standard deviation in training, by which values get their digits; may be empty.
        similar: Similar training molecules, the most similar first, if they were searched.
        note: What the standardisation changed; empty if nothing.
    """

    name: str
    smiles: str
    mol: Any
    target: str
    predictions: Mapping[str, float]
    importance: Mapping[str, TokenImportance]
    kind: str
    stds: Mapping[str, float] = field(default_factory=dict)
    similar: Sequence[SimilarMolecule] = ()
    note: str = ""

    def text(self, name: str) -> str:
        """Return a prediction as text, see `text_of`.

        Example:
            >>> MoleculeExplanation("a", "C", None, "E", {"E": -1000.0125}, {}, "regression", {"E": 0.01}).text("E")
            '−1000.013'
            >>> MoleculeExplanation("a", "C", None, "toxic", {"toxic": 0.5}, {}, "binary").text("toxic")
            '0.500'
        """
        value = self.predictions[name]
        return text_of(value, self.kind, self.stds.get(name))

    def ranked(self) -> list[str]:
        """Return the names of the predictions: the explained one, then probabilities from high to low, or as given.

        Example:
            >>> found = MoleculeExplanation("a", "C", None, "b", {"a": 0.1, "b": 0.2, "c": 0.7}, {}, "multilabel")
            >>> found.ranked()
            ['b', 'c', 'a']
        """
        regression = self.kind == "regression"
        return sorted(
            self.predictions, key=lambda name: (name != self.target, 0.0 if regression else -self.predictions[name])
        )

    def to_frame(self) -> pd.DataFrame:
        """Return a table with a row per token: numbers and symbols of its atoms, and a column of scores per method.

        Columns ``similarity_1``, ``similarity_2`` and so on have the scores of `SimilarMolecule.importance`.
        """
        symbols = [atom.GetSymbol() for atom in self.mol.GetAtoms()]
        scores = list(self.importance.values())
        for number, one in enumerate(self.similar, start=1):
            if one.importance is not None:
                scores.append(replace(one.importance, method=f"similarity_{number}"))
        frames = [found.to_frame(symbols) for found in scores]
        table = frames[0]
        for frame in frames[1:]:
            table[frame.columns[-1]] = frame.iloc[:, -1]
        table = table.rename(columns={"source": "atom", "target": "to_atom"})
        table["token"] = table["token"].map({"node": "atom", "edge": "bond"})
        table.insert(0, "molecule", self.name)
        return table

    def scores(self, method: str) -> tuple[list[float], list[float]]:
        """Return the scores of atoms and bonds for drawings; shares are in percent."""
        found = self.importance[method]
        factor = 100.0 if method == "sampled" else 1.0
        return (factor * found.node).tolist(), (factor * found.bond).tolist()

    def draw(self, method: str = "sampled", *, theme: str = "light") -> MoleculeDrawing:
        """Draw the molecule with atoms and bonds coloured by the scores of a method.

        Example:
            >>> from pyg_samsa.hub import load_pretrained
            >>> model, config = load_pretrained("peptides")[:2]
            >>> found, = explain_molecules(model, config.task, [("alanine", "CC(N)C(=O)O")], methods=["sampled"])
            >>> found.draw("sampled").svg.startswith("<svg")
            True
        """
        check_choice("method", method, PICTURED)
        atoms, bonds = self.scores(method)
        subtitle = f"{self.target}: {value_title(self.kind)} {self.text(self.target)}"
        subtitle += " · standardised" if self.note else ""
        options = {
            "scale": scale_of(method),
            "label": label_of(method, self.kind),
            "title": self.name,
            "subtitle": subtitle,
            "theme": theme,
        }
        return draw_importance(self.mol, atoms, bonds, **options)  # type: ignore[arg-type]

    def picture(self, method: str, *, theme: str = "auto") -> Picture:
        """Return the drawing of a method for a piece of HTML; arguments as in :meth:`draw`."""
        drawing = self.draw(method, theme=theme)
        return Picture(drawing.svg, f"{self.name}: {self.target} by {method}", drawing.spots)

    def fragment(self, methods: Sequence[str] = PICTURED, *, theme: str = "auto") -> Molecule:
        """Return the molecule for a piece of HTML, with a drawing for each method that it has."""
        pictures = [self.picture(method, theme=theme) for method in methods if method in self.importance]
        values = [Value(name, self.text(name)) for name in self.ranked()]
        similar = [(one.picture(theme), one.text) for one in self.similar]
        remarks = [self.note] if self.note else []
        return Molecule(self.name, self.smiles, pictures, values, remarks=remarks, similar=similar)

    def _repr_html_(self) -> str:
        return write_fragment([self.fragment()], value_title=value_title(self.kind))


def _graph_features(
    smiles: str, descriptors: Sequence[str], extra_columns: Mapping[str, Sequence[float]], number: int
) -> Tensor:
    """Return the features of one molecule [1, F]."""
    computed = torch.from_numpy(compute_descriptors([smiles], descriptors, workers=1, progress=False))
    return torch.cat([computed, torch.tensor([[float(column[number]) for column in extra_columns.values()]])], dim=1)


def text_of(value: float, kind: str, std: float | None = None) -> str:
    """Return a prediction as text: a probability, or a value with as many digits as tell molecules apart.

    Args:
        value: The prediction.
        kind: Kind of the task.
        std: Standard deviation of the target in training; None if unknown.

    Example:
        >>> text_of(-3.21987, "regression", 1.0), text_of(0.5, "binary")
        ('−3.22', '0.500')
    """
    return write_number(value, std, digits=3).replace("-", "−") if kind == "regression" else f"{value:.3f}"


def value_title(kind: str) -> str:
    """Return what the predictions of a task are called.

    Example:
        >>> value_title("regression"), value_title("binary")
        ('prediction', 'predicted probability')
    """
    return "prediction" if kind == "regression" else "predicted probability"


def scale_of(method: str) -> str:
    """Return the colour scale of a method.

    Example:
        >>> scale_of("sampled"), scale_of("occlusion")
        ('sequential', 'diverging')
    """
    return "sequential" if method == "sampled" else "diverging"


def label_of(method: str, kind: str) -> str:
    """Return the label of the colour bar of a method.

    Example:
        >>> label_of("sampled", "binary"), label_of("occlusion", "regression")
        ('sampled: share of attention (%)', 'occlusion: fall of the prediction')
    """
    if method == "sampled":
        return "sampled: share of attention (%)"
    text = {
        "contribution": "contribution of attention to the prediction",
        "occlusion": "occlusion: fall of the prediction",
    }
    return text[method] + ("" if kind == "regression" else " (logit)")


def readable_molecule(
    number: int,
    name: str,
    smiles: str,
    on_refusal: Callable[[int, str, str, str], None] | None = None,
    *,
    max_atoms: int | None = None,
    standardize: Sequence[str] = (),
) -> Standardized | None:
    """Return a molecule, or None if it cannot be read or is too large, and ``on_refusal`` was told.

    Args:
        number: Number of the molecule, from 0.
        name: Its name.
        smiles: Its SMILES.
        on_refusal: Called with number, name, SMILES and reason of a molecule that cannot be read; None makes it an
            error.
        max_atoms: Larger molecules are refused too; None takes any.
        standardize: Steps by which it is standardised; one that cannot be standardised is refused too.

    Raises:
        SmilesError: The molecule cannot be read or is too large, and ``on_refusal`` is None.

    Example:
        >>> readable_molecule(0, "ethanol", "CCO").mol.GetNumAtoms()
        3
        >>> readable_molecule(0, "glycine", "[NH3+]CC(=O)[O-]", standardize=["neutralize"]).smiles
        'NCC(=O)O'
    """
    mol = parse_smiles(smiles)
    reason = mol if isinstance(mol, str) else why_too_large(mol, max_atoms)
    if not reason:
        try:
            return Standardizer(standardize).apply(mol) if standardize else Standardized(smiles, mol, ())
        except StandardizeError as error:
            reason = error.reason
    if on_refusal is None:
        raise SmilesError(number + 1, smiles, reason)
    on_refusal(number, name, smiles, reason)
    return None


def note_on(molecule: Standardized, given: str) -> str:
    """Return what the standardisation changed, for readers of an explanation; empty if nothing.

    Args:
        molecule: The molecule.
        given: Its SMILES as given.

    Example:
        >>> note_on(Standardizer(["fragment"]).apply("C.O"), "C.O")
        'standardised (largest fragment) from C.O'
    """
    return f"standardised ({describe_steps(molecule.steps)}) from {given}" if molecule.steps else ""


def explain_molecules(
    model: Module,
    task: Task,
    molecules: Sequence[tuple[str, str]],
    *,
    target: str | None = None,
    methods: Sequence[str] = PICTURED,
    descriptors: Sequence[str] = (),
    extra_columns: Mapping[str, Sequence[float]] | None = None,
    standardize: Sequence[str] = (),
    on_refusal: Callable[[int, str, str, str], None] | None = None,
    max_atoms: int | None = None,
) -> Iterator[MoleculeExplanation]:
    """Explain the predictions for molecules, one at a time.

    Args:
        model: A :class:`pyg_samsa.nn.SAMSA` network for the features of :func:`~pyg_samsa.chem.smiles_to_data`.
        task: Its task.
        molecules: Name of each, and its SMILES or ``rdkit.Chem.Mol``.
        target: Name of the prediction to explain; by default the most likely of each molecule, or the first
            regression.
        methods: See :func:`~pyg_samsa.explain.token_importance`.
        descriptors: Names of the descriptors that the network reads beside the graph, see
            `pyg_samsa.chem.compute_descriptors`. They are those of the whole molecule in every score.
        extra_columns: Name of a column -> a number for each molecule; the columns that it reads after them, in order.
        standardize: Steps by which molecules are standardised before, as in training. Scores and drawings are those of
            the standardised molecules.
        on_refusal: Called with number, name, SMILES and reason of a molecule that cannot be read, which is then
            skipped; by default it is an error.
        max_atoms: Larger molecules are refused like those that cannot be read; None takes any.

    Yields:
        The explanation of each molecule that could be read.

    Raises:
        ConfigError: There is no such target.
        SmilesError: A molecule cannot be read and ``on_refusal`` is None.
        MissingDependencyError: RDKit is not installed.

    Example:
        >>> from pyg_samsa.chem import ATOM_CARDINALITIES, BOND_CARDINALITIES
        >>> from pyg_samsa.nn import SAMSA
        >>> sizes = {"channels": 8, "num_layers": 1, "heads": 2, "num_samples": 4}
        >>> model = SAMSA.from_options(ATOM_CARDINALITIES, 1, edge_channels=BOND_CARDINALITIES, **sizes)
        >>> found, = explain_molecules(model, Task("binary", ["active"]), [("ethanol", "CCO")])
        >>> list(found.predictions), found.to_frame().columns.tolist()
        (['active'], ['molecule', 'token', 'atom', 'to_atom', 'symbol', 'sampled', 'contribution', 'occlusion'])

    Cost: that of the methods; a peptide of 200 atoms takes about a second per layer with occlusion, and milliseconds
    without.
    """
    names = list(task.names)
    if target is not None and target not in names:
        raise ConfigError("target", target, names)
    if not methods:
        raise ConfigError("methods", methods, "at least one method")
    scale = getattr(model, "scale", None) if task.kind == "regression" else None
    stds = {} if scale is None else dict(zip(names, scale.std.tolist(), strict=True))
    for number, (name, molecule) in enumerate(molecules):
        given = as_smiles(molecule)
        read = readable_molecule(number, name, given, on_refusal, max_atoms=max_atoms, standardize=standardize)
        if read is None:
            continue
        smiles = read.smiles
        data = smiles_to_data(smiles, row=number + 1)
        if descriptors or extra_columns:
            data.graph_features = _graph_features(smiles, descriptors, extra_columns or {}, number)
        column = 0 if target is None else names.index(target)
        first = token_importance(model, data, methods[0], target=column)[0]
        if target is None and task.kind != "regression" and (likeliest := int(first.prediction.argmax())) != column:
            column = likeliest
            first = token_importance(model, data, methods[0], target=column)[0]
        rest = {method: token_importance(model, data, method, target=column)[0] for method in methods[1:]}
        readable = dict(zip(names, task.readable(first.prediction).tolist(), strict=True))
        found, note = {methods[0]: first, **rest}, note_on(read, given)
        yield MoleculeExplanation(name, smiles, read.mol, names[column], readable, found, task.kind, stds, note=note)
