"""Models on descriptors and blends inside the estimators."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor
from torch_geometric.data import Data

from pyg_samsa.chem.descriptors import compute_descriptors
from pyg_samsa.chem.parsing import in_chunks, join_parsed, parse_stream
from pyg_samsa.errors import ConfigError
from pyg_samsa.predict import (
    BlendPredictor,
    BoostingOptions,
    DescriptorPredictor,
    GaussianProcessOptions,
    MoleculeInputs,
    MoleculePredictor,
    Predictor,
    choose_weights,
    descriptor_models,
)
from pyg_samsa.predict.conformal import calibrate_if_labelled
from pyg_samsa.predict.interface import UNCERTAINTY_DRAWS
from pyg_samsa.predict.predictor_options import MEMBER_KINDS, TABLE_TREES, PredictorOptions
from pyg_samsa.task import Task


def fit_blend(
    smiles: Sequence[str],
    y: np.ndarray,
    split: Mapping[str, Tensor],
    task: Task,
    networks: Sequence[MoleculePredictor] = (),
    *,
    kinds: Sequence[str] = MEMBER_KINDS["descriptors"],
    seed: int = 0,
    refit: bool = False,
    standardize: Sequence[str] = (),
) -> BlendPredictor:
    """Fit models on descriptors to molecules, and blend them with a network by the loss on the validation rows.

    The inputs of the models are the defaults of ``predictor.tree_inputs`` and ``predictor.gp_inputs``. The validation
    rows also calibrate intervals. Without them all members have the same weight, and there is no calibration.

    Args:
        smiles: n molecules.
        y: Targets [n, C], or class numbers [n, 1].
        split: Rows of ``train`` and, where there are some, ``val``.
        task: The task.
        networks: A network that was trained on the same rows, and the one that takes its place in the blend, if it was
            trained again with the validation rows; empty for the other models alone.
        kinds: Kinds of models on descriptors: ``"trees"``, ``"gp"``.
        seed: Seed of the models.
        refit: Whether the models are fitted again to training and validation rows, after weights and intervals.
        standardize: Steps by which the molecules were standardised.

    Raises:
        MissingDependencyError: LightGBM is not installed, and trees are fitted.

    Example:
        >>> import torch
        >>> smiles, split = ["C" * size for size in range(1, 41)], {"train": torch.arange(40)}
        >>> blend = fit_blend(smiles, np.arange(40.0)[:, None], split, Task("regression", ["carbons"]))
        >>> [name for name in blend.names if "maccs" not in name][0]
        'trees rdkit2d'
    """
    target = y.reshape(len(y)) if task.kind == "multiclass" else y
    rows = {name: np.asarray(index) for name, index in split.items()}
    vectors: dict[str, np.ndarray] = {}
    # The first fits choose the weights; the last ones predict.
    first: dict[str, Predictor] = {"network": networks[0]} if networks else {}
    last: dict[str, Predictor] = {"network": networks[-1]} if networks else {}
    library = "lightgbm" if "trees" in kinds else "auto"
    boosting, process = BoostingOptions(library, **TABLE_TREES, seed=seed), GaussianProcessOptions(seed=seed)
    options: dict[str, Any] = {"kinds": kinds, "standardize": standardize}
    for label, model in descriptor_models(task, PredictorOptions(), boosting, process, **options).items():
        for name in model.descriptors:
            if name not in vectors:
                vectors[name] = compute_descriptors(smiles, [name], workers=1, progress=False)
        x = np.concatenate([vectors[name] for name in model.descriptors], axis=1)
        first[label] = DescriptorPredictor(copy.copy(model).fit(x[rows["train"]], target[rows["train"]]))
        again = refit and "val" in rows
        last[label] = DescriptorPredictor(copy.copy(model).fit(x, target)) if again else first[label]
    weights, calibration = np.full(len(first), 1 / len(first)), None
    if "val" in rows:
        held_out = read_inputs([smiles[row] for row in rows["val"]])
        known = target[rows["val"]]
        weights = choose_weights(np.stack([one.outputs(held_out)[0] for one in first.values()]), known, task)
        blend = BlendPredictor(list(first.values()), weights)
        with_spread = np.count_nonzero(blend.weights.any(1)) > 1
        values, spread = blend.outputs(held_out, draws=UNCERTAINTY_DRAWS if with_spread else None)
        calibration = calibrate_if_labelled(task, values, known, spread=spread)
    return BlendPredictor(list(last.values()), weights, names=list(last), calibration=calibration)


def read_inputs(smiles: Sequence[str], max_atoms: int | None = None) -> MoleculeInputs:
    """Return molecules as predictors read them.

    Args:
        smiles: Molecules.
        max_atoms: A larger molecule is an error; None takes any.

    Raises:
        SmilesError: A molecule cannot be read or is too large.

    Example:
        >>> read_inputs(["CC", "C"]).table.num_nodes.tolist()
        [2, 1]
    """
    parsed = join_parsed([parsed for _, parsed in parse_stream(in_chunks(smiles), max_atoms=max_atoms)])
    if parsed.refused:
        raise parsed.refused[0].error(smiles)
    return MoleculeInputs(parsed)


def smiles_of_items(items: Sequence[Any], key: str, value: Any) -> list[str]:
    """Return the SMILES of molecules that are given as SMILES, or as graphs with the attribute ``smiles``.

    Args:
        items: Molecules.
        key: Argument that needs the SMILES, for the error.
        value: Its value.

    Raises:
        ConfigError: A graph has no SMILES.

    Example:
        >>> smiles_of_items([" C", "CC"], "members", "all")
        ['C', 'CC']
    """
    found = [item.get("smiles") if isinstance(item, Data) else item for item in items]
    for number, (item, text) in enumerate(zip(items, found, strict=True)):
        if text is None and isinstance(item, Data):
            hint = "Pass SMILES, or graphs with the attribute smiles."
            raise ConfigError(key, value, f"the default: graph {number} has no SMILES", hint=hint)
    return [text.strip() if isinstance(text, str) else text for text in found]


def with_task(blend: BlendPredictor, task: Task) -> BlendPredictor:
    """Return a shallow copy of a blend whose targets have other names.

    Example:
        >>> network = MoleculePredictor.from_pretrained("peptides")
        >>> with_task(BlendPredictor([network], [1.0]), Task("multilabel", ["a", "b", "c"])).target_names
        ['a', 'b', 'c']
    """
    renamed = copy.copy(blend)
    renamed.task, renamed.members = task, [copy.copy(member) for member in blend.members]
    for member in renamed.members:
        member.task = task
        if isinstance(member, DescriptorPredictor):
            member.model = copy.copy(member.model)
            member.model.task = task
    return renamed
