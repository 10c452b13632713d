import json
import os
import sys

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("rdkit")

from benchmarks import lightgbm_peer, molecule_report
from benchmarks.measured import measure
from benchmarks.molecule_contestants import Chemprop, Job, LightGBM, Ours, environment, parse_ours
from benchmarks.molecule_sets import SPLIT_COLUMN, find_sets, read_set
from benchmarks.molecules import main
from pyg_samsa.cli import _parse
from pyg_samsa.errors import ConfigError, DataError

SMILES = ["C" * n + end for n in range(1, 13) for end in ("O", "N", "c1ccccc1")]
PARTS = ["train", "train", "valid", "Test"]
# Stands for chemprop: it predicts the number of atoms C for each test row, or a wrong one for the seed 9.
FAKE = """#!{python}
import argparse, csv, os, pathlib, sys
if sys.argv[1:] == ["--version"]:
    sys.exit(print("chemprop 2.0"))
parser = argparse.ArgumentParser()
parser.add_argument("mode", choices=["train"])
for name in ("data-path", "output-dir", "task-type", "smiles-columns", "splits-column", "pytorch-seed", "accelerator"):
    parser.add_argument("--" + name, required=True)
parser.add_argument("--num-workers", required=True)
parser.add_argument("--target-columns", nargs="+", required=True)
args = parser.parse_args()
if args.pytorch_seed == "9" or "PYTHONPATH" in os.environ or os.environ["OMP_NUM_THREADS"] != "1":
    sys.exit("no luck")
pathlib.Path("{calls}").open("a").write(args.pytorch_seed + "\\n")
out = pathlib.Path(args.output_dir) / "model_0"
out.mkdir(parents=True)
with open(args.data_path) as table, open(out / "test_predictions.csv", "w") as file:
    writer = csv.writer(file)
    writer.writerow([args.smiles_columns, *args.target_columns])
    for row in csv.DictReader(table):
        if row[args.splits_column] == "test":
            smiles = row[args.smiles_columns]
            writer.writerow([smiles, *[smiles.upper().count("C") + int(args.pytorch_seed)] * len(args.target_columns)])
"""


@pytest.fixture
def folder(tmp_path):
    tables = tmp_path / "tables"
    tables.mkdir()
    rows = [
        {"name": f"m{n}", "smiles": text, "carbons": text.upper().count("C"), "split": PARTS[n % 4]}
        for n, text in enumerate(SMILES)
    ]
    rows += [{"name": "bad", "smiles": "C1CC", "carbons": 3, "split": "train"}]
    pd.DataFrame(rows).to_csv(tables / "count.csv", index=False)
    labels = [
        {
            "mol": text,
            "ring": int("c1" in text),
            "acid": int(text.endswith("O")) if n % 3 != 1 else "",
            "r": PARTS[n % 4],
        }
        for n, text in enumerate(SMILES)
    ]
    pd.DataFrame(labels).to_csv(tables / "labels.csv", index=False)
    return tables


@pytest.fixture
def chemprop(tmp_path):
    path = tmp_path / "chemprop"
    path.write_text(FAKE.format(python=sys.executable, calls=tmp_path / "calls"))
    path.chmod(0o755)
    return path


def job(folder, data, split, seed=0):
    job = Job(data, split, seed, 1, folder)
    data.write(job.table, split)
    return job


def test_a_table_is_read_once_for_all(folder, tmp_path):
    data = read_set(folder / "count.csv")
    assert (data.task, data.targets, data.smiles, data.left_out) == ("regression", ["carbons"], "smiles", 1)
    assert data.sizes("split") == [18, 9, 9]
    data.write(tmp_path / "out.csv", "split")
    written = pd.read_csv(tmp_path / "out.csv")
    assert written["smiles"].tolist() == SMILES
    assert written[SPLIT_COLUMN].tolist()[:4] == ["train", "train", "val", "test"]
    assert written["carbons"].tolist()[:3] == [1, 1, 7]
    labels = read_set(folder / "labels.csv", targets=["acid"])
    assert (labels.task, labels.metric, len(labels.rows), labels.left_out) == ("binary", "auc", 24, 12)


def test_scores_are_means_over_targets_on_labelled_rows(folder):
    data = read_set(folder / "labels.csv")
    rows = data.splits["r"] == "test"
    ring, acid = data.y[rows].T
    assert np.isnan(acid).any()
    predicted = np.stack([ring, 1 - np.nan_to_num(acid)], axis=1)
    assert data.score(predicted, rows) == 0.5  # 1 for one target, 0 for the other
    count = read_set(folder / "count.csv")
    rows = count.splits["split"] == "test"
    assert count.score(count.y[rows] + 2, rows) == pytest.approx(2)


def test_wrong_tables_are_named(folder, tmp_path):
    with pytest.raises(ConfigError, match="--sets: got 'cuont'"):
        find_sets(folder, ["cuont"])
    with pytest.raises(ConfigError, match="a folder of CSV files"):
        find_sets(tmp_path / "nothing", None)
    with pytest.raises(ConfigError, match=r"--splits: got 'scaffold of count.csv'.*such as split"):
        read_set(folder / "count.csv", splits=["scaffold"])
    with pytest.raises(ConfigError, match="--targets"):
        read_set(folder / "count.csv", targets=["split"])
    (folder / "bare.csv").write_text("smiles,y\nC,1\nCC,2\n")
    with pytest.raises(DataError, match=r"bare.csv: no column holds train, val and test"):
        read_set(folder / "bare.csv")


def test_our_command_is_understood(folder, tmp_path):
    data = read_set(folder / "labels.csv")
    ours = parse_ours("big=--epochs 7 model.loss_fun mse --split-column 'a b'")
    assert (ours.name, ours.flags) == ("big", "--epochs 7 model.loss_fun mse --split-column 'a b'")
    words = ours.command(job(tmp_path, data, "r", seed=5))
    args = _parse(words[3:])
    assert words[:3] == [sys.executable, "-m", "pyg_samsa"]
    assert (args.csv, args.target_columns, args.epochs) == (str(tmp_path / "table.csv"), ["ring", "acid"], 7)
    assert args.split_column == "a b"  # what the user says comes last
    assert args.opts[:4] == ["seed", "5", "num_threads", "1"]
    assert args.opts[-2:] == ["model.loss_fun", "mse"]
    for wrong in ("--epochs 3", "lightgbm=--epochs 3", "=x", "a='x"):
        with pytest.raises(ConfigError, match="--ours"):
            parse_ours(wrong)


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def test_metrics_of_a_run_are_those_of_predictor_and_network(folder, tmp_path):
    one = job(tmp_path, read_set(folder / "count.csv"), "split")
    runs = tmp_path / "results" / "table"
    with pytest.raises(DataError, match="0 results with a test rmse"):
        Ours("samsa").scores(one)
    write(runs / "0" / "summary.json", {"val": {"rmse": 3.0}, "test": {"rmse": 4.0, "mae": 1.0}})
    assert Ours("samsa").scores(one) == {"samsa": {"val": 3.0, "test": 4.0}}
    write(runs / "0" / "predictor" / "predictor.json", {"metrics": {"test": {"rmse": 2.0}}})
    assert Ours("samsa").scores(one) == {"samsa": {"test": 2.0}}
    own = {"val": {"rmse": 3.0}, "test": {"rmse": 5.0}}
    for name in ("network", "2 networks"):
        scores = {name: own, "trees maccs": own, "gp rdkit2d": own, "2 x gp maccs": own, "predictor": own}
        write(runs / "0" / "summary.json", {"test": {"rmse": 4.0}, "predictor": {"scores": scores}})
        expected = {"samsa": {"test": 2.0}, f"samsa, {name} alone": {"val": 3.0, "test": 5.0}}
        assert Ours("samsa").scores(one) == expected
    (runs / "0" / "predictor" / "predictor.json").unlink()
    write(runs / "1" / "summary.json", {"test": {"rmse": 6.0}})
    with pytest.raises(DataError, match="2 results"):
        Ours("samsa").scores(one)


@pytest.mark.slow
def test_our_training_runs(folder, tmp_path):
    tiny = "samsa.layers 1 samsa.channels 8 samsa.heads 2 samsa.num_samples 4 optim.num_warmup_epochs 0 --epochs 1"
    out = tmp_path / "out.json"
    assert (
        main([str(folder), "--sets", "count", "--seeds", "0", "--ours", f"a={tiny}", "--peers", "--out", str(out)]) == 0
    )
    (cell,) = json.loads(out.read_text())["cells"]
    assert 0 < cell["scores"]["a"]["test"] < 100
    assert cell["peak_bytes"] > 1e8
    assert not list(tmp_path.glob("results*"))


def test_lightgbm_predicts_all_rows(folder, tmp_path):
    data = read_set(folder / "labels.csv")
    one = job(tmp_path, data, "r")
    for name, parts in (("lightgbm-morgan", {"val", "test"}), ("lightgbm+val", {"test"})):
        peer = LightGBM(name)
        assert lightgbm_peer.main(peer.command(one)[3:]) == 0
        (scores,) = peer.scores(one).values()
        assert set(scores) == parts
        assert all(0 <= value <= 1 for value in scores.values())
    x = lightgbm_peer.descriptors(["C", "CCO"], morgan=True)
    assert x.shape[1] > 2048 + 200
    assert x[:, -2048:].sum(1).tolist() == [1, 6]  # ethanol: three atoms, and three fragments of radius 1
    y = np.array([[0.0, 1.0], [np.nan, 1.0], [1.0, 1.0], [0.0, 1.0]])
    found = lightgbm_peer.fit_predict(np.eye(4), y, np.array([1, 1, 0, 1], bool), labels=True, seed=0, threads=1)
    assert found.tolist() == [[0, 1]] * 4  # one label only among the training rows


def test_peak_memory_is_that_of_the_command_alone(tmp_path):
    held = np.ones(40_000_000)  # 320 MB in this process
    env = environment(Chemprop("chemprop"))
    used = measure([sys.executable, "-S", "-c", "pass"], tmp_path, tmp_path / "log", threads=1, env=env)
    assert used.returncode == 0
    assert 1e6 < used.peak_bytes < 100e6 < held.nbytes
    code = "import os; x = b'x' * 200_000_000; print(os.environ['OMP_NUM_THREADS'], flush=True); os._exit(3)"
    used = measure([sys.executable, "-c", code], tmp_path, tmp_path / "log", threads=1, env=env)
    assert used.returncode == 3
    assert used.peak_bytes > 2e8
    assert (tmp_path / "log").read_text() == "1\n"
    assert 0 < used.cpu_seconds <= used.seconds + 0.05


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="processors cannot be chosen here")
def test_a_command_gets_as_many_processors_as_threads(tmp_path):
    code = "import os; print(len(os.sched_getaffinity(0)))"
    env = environment(Chemprop("chemprop"))
    measure([sys.executable, "-c", code], tmp_path, tmp_path / "log", threads=1, env=env)
    assert (tmp_path / "log").read_text() == "1\n"


def test_finished_cells_are_not_repeated(folder, chemprop, tmp_path, capsys):
    out = tmp_path / "out.json"
    words = [str(folder), "--sets", "count", "--ours", "--peers", "chemprop", "--chemprop", str(chemprop)]
    words += ["--out", str(out), "--seeds"]
    assert main([*words, "0", "2", "9"]) == 1
    printed = capsys.readouterr()
    assert "failed: count, split, seed 9, chemprop: exit code 1" in printed.out
    assert "no luck" in printed.out
    assert "1.000 ± 1.414" in printed.out
    cells = json.loads(out.read_text())["cells"]
    assert [(cell["seed"], cell["scores"]["chemprop"]["test"]) for cell in cells] == [(0, 0.0), (2, 2.0)]
    assert cells[0]["versions"] == {"chemprop": "2.0"}
    assert main([*words, "0", "1"]) == 0
    assert (tmp_path / "calls").read_text().split() == ["0", "2", "1"]
    assert "| chemprop | – | 0.5000 ± 0.7071 |" in out.with_suffix(".md").read_text()
    (folder / "count.csv").write_text((folder / "count.csv").read_text() + "m,CCC,3,train\n")
    assert main([*words, "0"]) == 0  # another table
    assert (tmp_path / "calls").read_text().split() == ["0", "2", "1", "0"]


def test_missing_chemprop_is_one_line(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    words = [str(folder), "--sets", "count", "--seeds", "0", "--ours", "--out", str(tmp_path / "out.json"), "--peers"]
    assert main([*words, "chemprop", "lightgbm"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line for line in printed if line.startswith("chemprop")] == [
        "chemprop is left out: there is no such program on PATH. Install it and pass --chemprop PATH."
    ]
    assert any(line.startswith("count, split, seed 0, lightgbm: rmse ") for line in printed)
    assert main([*words, "chemprop", "--chemprop", str(tmp_path / "none")]) == 2
    assert "error: --chemprop" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--threads", "0"], "--threads: got 0"),
        (["--out", "results.txt"], "--out"),
        (["--targets", "no=x"], "--targets"),
        (["--ours", "a=", "a=--epochs 5"], "--ours"),
        (["--ours", "--peers"], "at least one contestant"),
    ],
)
def test_wrong_arguments_are_one_line(folder, words, message, capsys):
    assert main([str(folder), *words]) == 2
    assert message in capsys.readouterr().err


def test_other_files_are_not_overwritten(tmp_path):
    path = tmp_path / "results.json"
    path.write_text('{"rows": []}')
    with pytest.raises(ConfigError, match="--out"):
        molecule_report.Cells(path)
    assert path.read_text() == '{"rows": []}'
