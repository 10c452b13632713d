from __future__ import annotations

import builtins
import json

import numpy as np
import pytest
import torch

from pyg_samsa.chem.ogb_features import graph_arrays, parse_smiles
from pyg_samsa.errors import ConfigError, MissingDependencyError
from pyg_samsa.hub import ModelConfig, load_pretrained, program, save_pretrained
from pyg_samsa.hub.program import (
    GraphProgram,
    compare_program,
    example_inputs,
    export_program,
    load_program,
    refuse_export,
    trace,
)
from pyg_samsa.nn import SAMSA
from pyg_samsa.predict import MoleculePredictor
from pyg_samsa.task import Task

TASK = Task("multilabel", ["a", "b"])
SMALL = {"channels": 16, "num_layers": 1, "heads": 2, "bridge": False}
ENCODED = {"channels": 5, "model": "mlp"}
NETWORKS = {
    "nodes": {},
    "gine and walks": {"local": "gine", "pe_channels": 4, "pe_kind": "rwse", "head_norm": "batch"},
    "gated": {"local": "gatedgcn"},
    "gated by walks": {"local": "gatedgcn", "pe_channels": 4, "pe_kind": "rwse", "pe_role": "gate"},
    "gcn": {"local": "gcn"},
    "gatv2": {"local": "gatv2"},
    "pna": {"local": "pna"},
    "full attention": {"attention": "full"},
    "soft sampling": {"sampling": "soft"},
    "mean pooling and encoded walks": {"pool": "mean", "pe_channels": 4, "pe_kind": "rwse", "pe_options": ENCODED},
    "features by levels": {"graph_channels": 3, "graph_levels": 5},
}


def saved(folder, task=TASK, **options):
    torch.manual_seed(0)
    options = {**SMALL, **options}
    if options.get("attention") != "full":
        options.setdefault("num_samples", 8)
    model = SAMSA.from_options([5, 4], len(task.names), edge_channels=[3], **options)
    for name, weight in model.named_parameters():
        if name.endswith("alpha"):  # ReZero starts at 0, where blocks add nothing
            torch.nn.init.ones_(weight)
    if model.graph_features is not None:
        model.graph_features.fit(torch.randn(30, 3))
    save_pretrained(model.eval(), folder, task=task, descriptors=())
    return load_pretrained(folder)


@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
def test_programs_predict_graphs_of_all_sizes(tmp_path, options):
    network, config = saved(tmp_path / "saved", **options)
    path = tmp_path / "network.pt2"
    described = export_program(network, config, path)
    assert described["task"]["names"] == ["a", "b"]
    assert compare_program(network, config, path, kind="pt2", sizes=(1, 2, 5, 40, 300)) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gine and walks", "full attention", "features by levels"])
def test_onnx_predicts_graphs_of_all_sizes(tmp_path, name):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    network, config = saved(tmp_path / "saved", **NETWORKS[name])
    path = tmp_path / "network.onnx"
    export_program(network, config, path)
    assert compare_program(network, config, path, kind="onnx", sizes=(1, 2, 5, 40, 300)) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pt2", "onnx"])
def test_molecules_of_all_sizes_have_the_predictions_of_predict(tmp_path, kind):
    if kind == "onnx":
        pytest.importorskip("onnxscript")
        pytest.importorskip("onnxruntime")
    smiles = ["C", "[Na+]", "[H][H]", "O", "c1ccccc1O"]
    smiles += ["C" * (2 * size) + "N" for size in (*range(1, 12), *range(15, 196, 20))]
    assert max(parse_smiles(text).GetNumAtoms() for text in smiles) == 391
    path = tmp_path / f"peptides.{kind}"
    export_program(*load_pretrained("peptides"), path)
    run = load_program(path, kind)
    found = []
    for text in smiles:
        arrays = graph_arrays(parse_smiles(text))
        names = ("x", "edge_index", "edge_attr")
        inputs = {name: torch.from_numpy(array.astype(np.int64)) for name, array in zip(names, arrays, strict=True)}
        found.append(run(inputs).numpy())
    expected = MoleculePredictor.from_network("peptides").predict(smiles).values
    np.testing.assert_allclose(np.concatenate(found), expected, atol=1e-5)


def test_the_description_is_in_the_program(tmp_path):
    network, config = saved(tmp_path / "saved", local="gine")
    described = export_program(network, config, tmp_path / "network.pt2")
    extra = {"description.json": ""}
    torch.export.load(tmp_path / "network.pt2", extra_files=extra)
    assert json.loads(extra["description.json"]) == described
    assert described["inputs"] == ["x", "edge_index", "edge_attr"]


@pytest.mark.parametrize(
    ("kind", "expected"), [("regression", 3.0), ("binary", 1 / (1 + np.exp(-3))), ("multiclass", 1.0)]
)
def test_outputs_are_values_or_probabilities(kind, expected):
    class Constant(torch.nn.Module):
        def forward(self, x, edge_index, edge_attr):
            return torch.full((1, 1), 3.0)

    names = ["y"] if kind != "multiclass" else ["y", "z"]
    found = GraphProgram(Constant(), Task(kind, names))(torch.ones(1, 1), torch.zeros(2, 0, dtype=torch.long))
    assert float(found[0, 0]) == pytest.approx(expected)


def test_a_wrong_program_is_found(tmp_path):
    network, config = saved(tmp_path / "saved")
    other = saved(tmp_path / "other", pool="mean")[0]
    wrong = trace(GraphProgram(other, TASK).eval(), example_inputs(config, nodes=20, edges=40))
    torch.export.save(wrong, tmp_path / "wrong.pt2")
    assert compare_program(network, config, tmp_path / "wrong.pt2", kind="pt2") > 1e-4


def test_a_program_that_gives_no_number_is_found(tmp_path, monkeypatch):
    network, config = saved(tmp_path / "saved")
    monkeypatch.setattr(program, "load_program", lambda path, kind: lambda inputs: torch.full((1, 2), torch.nan))
    assert compare_program(network, config, tmp_path / "none", kind="pt2") == np.inf


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"bridge": True}, "codes of Graph-Bridge"),
        ({"attention": "sft"}, "its attention is sft"),
        ({"attention": "performer", "num_samples": None}, "its attention is performer"),
        ({"sampling": "replacement"}, "its sampling is replacement"),
        ({"pe_channels": 3}, "no random walks"),
        ({"pe_channels": 3, "pe_kind": "lap"}, "no random walks"),
        ({"positions": "sinusoidal"}, "it reads sequences"),
    ],
)
def test_what_cannot_be_exported_is_told_before_anything_is_written(tmp_path, options, reason):
    network, config = saved(tmp_path / "saved", **options)
    with pytest.raises(ConfigError) as error:
        export_program(network, config, tmp_path / "network.pt2")
    assert reason in error.value.hint
    assert not (tmp_path / "network.pt2").exists()


def test_networks_of_nodes_or_without_a_task_are_refused(tmp_path):
    network, config = saved(tmp_path / "saved", task=Task("multiclass", ["a", "b"], level="node"), level="node")
    assert "predicts nodes" in refuse_export(network, config)
    assert "without a task" in refuse_export(network, ModelConfig("SAMSA", {}, num_parameters=1))


def test_unknown_formats_and_missing_packages_are_named(tmp_path, monkeypatch):
    network, config = saved(tmp_path / "saved")
    with pytest.raises(ConfigError, match="format: got 'txt'"):
        export_program(network, config, tmp_path / "network.txt")
    usual = builtins.__import__

    def without(name, *args, **kwargs):
        if name in ("onnx", "onnxruntime"):
            raise ImportError(name=name)
        return usual(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match="onnx") as error:
        export_program(network, config, tmp_path / "network.onnx")
    assert error.value.hint == "pip install 'pyg-samsa[export]'"
    with pytest.raises(MissingDependencyError, match="onnxruntime"):
        load_program(tmp_path / "network.onnx", "onnx")
