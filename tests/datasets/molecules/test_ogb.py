import gzip
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
import torch

from pyg_samsa.chem import smiles_to_data
from pyg_samsa.datasets import raw_files
from pyg_samsa.datasets.molecules import ogb
from pyg_samsa.datasets.molecules.ogb import SETS, OGBMolecules
from pyg_samsa.datasets.sources import RemoteFile
from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError

SMILES = ["CCO", "C", "c1ccccc1O", "CC#N", "[Na+].[Cl-]"]
SPLIT = {"train": [4, 0, 1], "valid": [2], "test": [3]}


def write_table(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") as file:
        file.writelines(",".join("" if value is None else str(value) for value in row) + "\n" for row in rows)


def write_set(folder, targets, molecules=SMILES, splits=SPLIT):
    """OGB's layout: one direction of every bond, missing measurements empty."""
    graphs = [smiles_to_data(smiles) for smiles in molecules]
    tables = {
        "num-node-list": [[graph.num_nodes] for graph in graphs],
        "num-edge-list": [[graph.num_edges // 2] for graph in graphs],
        "node-feat": [row for graph in graphs for row in graph.x.tolist()],
        "edge": [pair for graph in graphs for pair in graph.edge_index.t()[::2].tolist()],
        "edge-feat": [row for graph in graphs for row in graph.edge_attr[::2].tolist()],
        "graph-label": [
            [None if (row + column) % 4 == 3 else (row + column) % 2 for column in range(targets)]
            for row in range(len(graphs))
        ],
    }
    for name, rows in tables.items():
        write_table(folder / f"raw/{name}.csv.gz", rows)
    for name, rows in splits.items():
        write_table(folder / f"split/scaffold/{name}.csv.gz", [[row] for row in rows])


def check(dataset, targets):
    assert len(dataset) == len(SMILES)
    for row, (found, smiles) in enumerate(zip(dataset, SMILES, strict=True)):
        graph = smiles_to_data(smiles)
        for key in ("x", "edge_index", "edge_attr"):
            assert torch.equal(found[key], graph[key])
        expected = [float("nan") if (row + column) % 4 == 3 else float((row + column) % 2) for column in range(targets)]
        assert found.y[0].tolist() == pytest.approx(expected, nan_ok=True)
    assert {name: positions.tolist() for name, positions in dataset.split_idx.items()} == {
        "train": [4, 0, 1],
        "val": [2],
        "test": [3],
    }


@pytest.mark.parametrize(
    ("name", "task", "targets"),
    [
        ("ogbg-molhiv", "binary", 1),
        ("ogbg_molhiv", "binary", 1),
        ("ogbg-moltox21", "multilabel", 12),
        ("ogbg-molesol", "regression", 1),
    ],
)
def test_official_tables(tmp_path, name, task, targets):
    write_set(tmp_path / name.replace("-", "_"), targets)
    dataset = OGBMolecules(tmp_path, name, download=False, progress=False)
    check(dataset, targets)
    assert (dataset.task.kind, dataset.task.num_targets, dataset.task.level) == (task, targets, "graph")
    assert len(dataset.features.in_channels) == 9
    check(OGBMolecules(tmp_path, name, download=False), targets)


def test_equals_ogbs_own_reader(tmp_path, monkeypatch):
    pytest.importorskip("ogb")
    monkeypatch.setenv("OUTDATED_IGNORE", "1")
    from ogb.io.read_graph_pyg import read_graph_pyg

    write_set(tmp_path / "ogbg_molhiv", 1)
    graphs = read_graph_pyg(str(tmp_path / "ogbg_molhiv" / "raw"), add_inverse_edge=True)
    for found, graph in zip(OGBMolecules(tmp_path, "ogbg-molhiv", download=False, progress=False), graphs, strict=True):
        for key in ("x", "edge_index", "edge_attr"):
            assert torch.equal(found[key], graph[key])


def test_download(tmp_path, served, monkeypatch):
    folder, url = served
    write_set(tmp_path / "hiv", 1)
    with zipfile.ZipFile(folder / "hiv.zip", "w") as archive:
        for path in (tmp_path / "hiv").rglob("*.gz"):
            archive.write(path, f"hiv/{path.relative_to(tmp_path / 'hiv')}")
    monkeypatch.setattr(ogb, "ogb_zip", lambda name: RemoteFile(f"{name}.zip", f"{url}/{name}.zip", None))
    check(OGBMolecules(tmp_path / "root", "ogbg-molhiv", progress=False), 1)


@pytest.mark.parametrize("table", ["node-feat", "edge-feat", "edge", "graph-label", "num-edge-list"])
def test_tables_that_do_not_fit_are_named(tmp_path, table):
    folder = tmp_path / "ogbg_molhiv"
    write_set(folder, 1)
    path = folder / f"raw/{table}.csv.gz"
    rows = gzip.decompress(path.read_bytes()).splitlines()
    path.write_bytes(gzip.compress(b"\n".join(rows[:-1]) + b"\n"))
    with pytest.raises(DataIntegrityError):
        OGBMolecules(tmp_path, "ogbg-molhiv", download=False, progress=False)


@pytest.mark.parametrize(
    "content", [b"", b"not gzip", gzip.compress(b"a,b\n", mtime=0), gzip.compress(b"1,2\n" * 100, mtime=0)[:20]]
)
def test_damaged_tables_are_named(tmp_path, content):
    write_set(tmp_path / "ogbg_molhiv", 1)
    (tmp_path / "ogbg_molhiv/raw/node-feat.csv.gz").write_bytes(content)
    with pytest.raises(DataIntegrityError, match="node-feat"):
        OGBMolecules(tmp_path, "ogbg-molhiv", download=False, progress=False)


def test_a_split_that_does_not_fit_is_refused(tmp_path):
    write_set(tmp_path / "ogbg_molhiv", 1)
    write_table(tmp_path / "ogbg_molhiv/split/scaffold/test.csv.gz", [[0]])
    with pytest.raises(DataIntegrityError, match="scaffold"):
        OGBMolecules(tmp_path, "ogbg-molhiv", download=False, progress=False)


def test_nothing_there(tmp_path):
    with pytest.raises(DataNotFoundError, match="ogbg-molhiv"):
        OGBMolecules(tmp_path, "ogbg-molhiv", download=False)


def test_unknown_name(tmp_path):
    with pytest.raises(ConfigError, match="ogbg-molhiv"):
        OGBMolecules(tmp_path, "ogbg-molhvi")


def test_sets_are_ogbs():
    spec = find_spec("ogb")
    if spec is None:
        pytest.skip("ogb is not installed")
    table = pd.read_csv(
        Path(spec.submodule_search_locations[0]) / "graphproppred/master.csv", index_col=0, keep_default_na=False
    )
    molecules = [name for name in table if name.startswith("ogbg-mol")]
    assert set(molecules) == set(SETS)
    for name in molecules:
        assert SETS[name].archive == table[name]["download_name"]
        assert SETS[name].targets == int(table[name]["num tasks"])
        assert SETS[name].regression == (table[name]["task type"] == "regression")
        assert table[name]["split"] == "scaffold"


@pytest.mark.parametrize("folder", ["datasets/ogbg_molhiv", "dataset/ogbg_molhiv", "dataset/ogbg_molhiv_pyg"])
def test_what_ogbs_loader_has_left_is_read_without_a_download(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(raw_files, "fetch", lambda *_, **__: pytest.fail("downloaded"))
    write_set(tmp_path / folder, 1)
    check(OGBMolecules("datasets", "ogbg-molhiv", progress=False), 1)
    # Nothing is written beside what another package has left.
    left = {path.name for path in (tmp_path / folder).iterdir()} - {"ogbg-molhiv-v1.pt"}
    assert {name for name in left if not name.endswith(".lock")} == {"raw", "split"}
    assert (tmp_path / "datasets/ogbg_molhiv/ogbg-molhiv-v1.pt").is_file()


@pytest.mark.skipif(find_spec("ogb") is None, reason="ogb is not installed")
@pytest.mark.parametrize(
    ("name", "targets", "task", "loss", "official", "ours"),
    [
        ("ogbg-molhiv", 1, "classification", "cross_entropy", "rocauc", "auc"),
        ("ogbg-moltox21", 12, "classification_multilabel", "cross_entropy", "rocauc", "auc"),
        ("ogbg-molesol", 1, "regression", "mse", "rmse", "rmse"),
    ],
)
def test_summary_and_report_have_ogbs_figure_of_the_test_split(
    name, targets, task, loss, official, ours, tmp_path, monkeypatch, capsys
):
    from pyg_samsa.experiments import run as runner
    from pyg_samsa.training.results import RunResult
    from pyg_samsa.training.run_record import read_run
    from pyg_samsa.viz.report import write_report

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "draw_run", lambda *_, **__: None)
    count = 24
    splits = {"train": range(8), "valid": range(8, 16), "test": range(16, count)}
    write_set(tmp_path / "dataset" / name.replace("-", "_"), targets, ["C" * (1 + row) for row in range(count)], splits)
    (tmp_path / "exp.yaml").write_text(
        f"dataset: {{format: OGB, name: {name}, task_type: {task}}}\nmodel: {{loss_fun: {loss}, type: samsa}}\n"
        f"metric_best: {ours}\nsamsa: {{layers: 1, channels: 8, heads: 2, num_samples: 4}}\nnum_threads: 1\n"
        "optim: {max_epoch: 1, optimizer: adamW}\naccelerator: cpu\n"
    )
    (result,) = runner.run(tmp_path / "exp.yaml")
    assert result.official == {official: pytest.approx(result.test[ours], abs=1e-5)}
    record = read_run(result.folder.path)
    assert record.summary["official"] == result.official
    assert RunResult.from_summary(result.folder, record.summary).official == result.official
    line = f"Test {official} by OGB's Evaluator: {result.test[ours]:.4f}"
    assert line in capsys.readouterr().out
    write_report([record], tmp_path / "page.html")
    assert f"{official} by OGB&#39;s Evaluator, test" in (tmp_path / "page.html").read_text()
