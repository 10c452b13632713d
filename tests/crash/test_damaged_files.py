"""Every damaged file of a run, of its data or of its saved model is one line that names it, and a cure that works."""

import io
import json
import os
import shutil
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import torch

from pyg_samsa.cli import main

SMALL = ["samsa.layers", "1", "samsa.channels", "8", "samsa.heads", "2", "num_threads", "1", "accelerator", "cpu"]
TRAIN = ["train", "-q", "--csv", "table.csv", "--target-columns", "y", "--only", "network", *SMALL]
TRAIN += ["predictor.refit", "none", "optim.num_warmup_epochs", "0"]
RUN = Path("results/table/0")
COMMANDS = {
    "train": [*TRAIN, "optim.max_epoch", "2"],
    "resume": [*TRAIN, "optim.max_epoch", "2", "train.auto_resume", "True"],
    "more": [*TRAIN, "optim.max_epoch", "3", "train.auto_resume", "True"],
    "less": [*TRAIN, "optim.max_epoch", "1", "train.auto_resume", "True"],
    "start": [*TRAIN, "optim.max_epoch", "1", "train.start_from", str(RUN)],
    "report": ["report", "-q", str(RUN), "--out", "report.html"],
    "predict": ["predict", "-q", str(RUN), "table.csv", "out.csv"],
    "network": ["predict", "-q", str(RUN / "model"), "table.csv", "out.csv"],
    "explain": ["explain", "-q", str(RUN), "CCO", "--out", "explained"],
}
BINARY = b"\xff\xfe\x00\x01\x80"
TAG = b"!!python/object/apply:os.system ['touch executed']"
JSON = {"empty": b"", "list": b"[1]", "null": b"null", "binary": BINARY, "folder": None}
TYPES = b'{"epochs": "many", "waited": [], "val": 3, "test": 4, "seed": "x"}'
METRICS = b"epoch,step,lr,seconds,total_seconds,train_loss,val_loss\na,b,c,d,e,f,g\n"


def other_shapes(content):
    content["state_dict"] = {name: torch.zeros(3, 3, 3) for name in content["state_dict"]}


def one_weight_less(content):
    del content["state_dict"][next(iter(content["state_dict"]))]


def other_moments(content):
    for entry in content["optimizer_states"][0]["state"].values():
        entry["exp_avg"] = torch.zeros(7, 7)


def fewer_rows(content):
    content["callbacks"]["History"]["rows"].pop()


CHECKPOINT = {
    "other shapes": other_shapes,
    "one weight less": one_weight_less,
    "no weights": lambda content: content.pop("state_dict"),
    "epoch": lambda content: content.update(epoch="two"),
}
LAST = {
    "no optimiser": lambda content: content.update(optimizer_states=[]),
    "other moments": other_moments,
    "no schedules": lambda content: content.pop("lr_schedulers"),
    "no steps": lambda content: content.pop("global_step"),
    "no loops": lambda content: content.update(loops={}),
    "no callbacks": lambda content: content.update(callbacks={}),
    "fewer rows": fewer_rows,
    "no random numbers": lambda content: content["callbacks"]["ExactResume"].update(rng=[{}]),
}


def cases():
    """Yield (name, command, file, its new content or a function that changes what torch.load reads)."""
    for name, content in {**JSON, "keys": b'{"status": "finished"}', "types": TYPES}.items():
        yield name, "resume", RUN / "summary.json", content
    for name, content in {**JSON, "types": TYPES, "texts": b'{"val": {"mae": "x"}}', "deep": b"[" * 99999}.items():
        if name != "null":
            yield name, "report", RUN / "summary.json", content
    broken = {"empty": b"", "list": b"- a\n", "broken": b"a: [1\n b: }", "binary": BINARY, "tag": TAG, "folder": None}
    for name, content in broken.items():
        if name != "folder":
            yield name, "report", RUN / "config.yaml", content
        yield name, "resume", RUN / "config.yaml", content
    for name, content in {"empty": b"", "binary": BINARY, "texts": METRICS, "folder": None}.items():
        yield name, "report", RUN / "metrics.csv", content
    predictions = {"empty": b"", "binary": BINARY, "columns": b"hello\n1\n", "texts": b"row,y_true,y_pred\na,b,c\n"}
    for name, content in predictions.items():
        yield name, "report", RUN / "predictor_test.csv", content
    for name, content in {"empty": b"", "list": b"[1]", "folder": None}.items():
        yield name, "report", RUN / "environment.json", content
    for file, changes in {"last": {**CHECKPOINT, **LAST}, "best": CHECKPOINT}.items():
        path = RUN / "checkpoints" / f"{file}.ckpt"
        for name, content in {"empty": b"", "text": b"hello", "half": ..., "folder": None, **changes}.items():
            yield name, "more", path, content
        yield "list", "more", path, lambda content: [1]
    for name in ("empty", "list", "binary"):
        yield name, "start", RUN / "checkpoints" / "best.ckpt", {**JSON, "list": lambda content: [1]}[name]
        yield name, "network", RUN / "model" / "config.json", JSON[name]
        yield name, "predict", RUN / "predictor" / "predictor.json", JSON[name]
        yield name, "predict", RUN / "predictor" / "network_0" / "config.json", JSON[name]
    for name, content in {"empty": b"", "half": ..., "binary": BINARY}.items():
        yield name, "explain", RUN / "predictor" / "network_0" / "model.safetensors", content
    for file in ("checkpoints", "model", "predictor"):
        yield "file", "resume", RUN / file, b"x"
    parts = ("data", "slices", "split_idx", "extra")
    prepared = {name: (lambda content, name=name: content.pop(name)) for name in parts}
    prepared |= {"edges": lambda content: content["data"].pop("edge_index")}
    prepared |= {"rows": lambda content: content["split_idx"].update(val=torch.tensor([10**6]))}
    for name, content in {"empty": b"", "half": ..., "text": b"hello", "folder": None, **prepared}.items():
        yield name, "train", Path("datasets/csv"), content


@pytest.fixture(scope="module")
def trained(tmp_path_factory, write_table):
    folder = write_table(tmp_path_factory.mktemp("trained"))
    before = os.getcwd()
    os.chdir(folder)
    try:
        with redirect_stdout(io.StringIO()):
            assert main(COMMANDS["train"]) == 0
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def folder(tmp_path, trained, monkeypatch):
    """A working folder with the table, the prepared data and the run."""
    shutil.copytree(trained, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def damage(path, content):
    """Replace a file, or a folder, and return its path; of the folder of prepared data, the only file."""
    path = next(path.glob("*.pt")) if path.parts[0] == "datasets" else path
    if callable(content):
        loaded = torch.load(path, weights_only=True)
        changed = content(loaded)
        path.unlink()
        torch.save(changed if isinstance(changed, list) and changed == [1] else loaded, path)
        return path
    before = path.read_bytes() if path.is_file() else b""
    # Never in place, because best.ckpt and last.ckpt may be names of one file.
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(before[: len(before) // 2] if content is ... else content)
    return path


def state(folder):
    """The files of a folder with their sizes."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith("lock"))
    return {path: path.stat().st_size for path in found}


def told(capsys, command):
    """Run a command that fails; return exit code, error and hint."""
    capsys.readouterr()
    code = main(COMMANDS[command])
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("table.csv: few")]
    assert len(lines) == 2, lines
    assert lines[0].startswith("error: ")
    assert lines[1].startswith("hint:  ")
    return code, lines[0], lines[1]


@pytest.mark.parametrize(
    ("command", "path", "content"),
    [pytest.param(*case[1:], id=f"{case[2].name}-{case[0]}-{case[1]}") for case in cases()],
)
def test_damage_is_one_line_that_names_the_file(folder, capsys, command, path, content):
    path, before = damage(path, content), state(folder)
    code, error, _ = told(capsys, command)
    assert code == 3
    assert str(path) in error
    assert len(error) < 400
    assert state(folder) == before
    assert not (folder / "executed").exists()


def test_a_saved_network_of_other_shapes(folder, capsys):
    path = RUN / "model" / "config.json"
    content = json.loads(path.read_text())
    content["options"]["num_layers"] = 2
    path.write_text(json.dumps(content))
    code, error, _ = told(capsys, "network")
    assert code == 3
    assert "the weight encoder." in error


@pytest.mark.parametrize("name", ["summary.json", "metrics.csv", "predictions_test.csv", "predictor_test.csv"])
def test_a_file_that_is_deleted_is_written_again(folder, capsys, name):
    before = (RUN / name).read_bytes()
    damage(RUN / name, BINARY).unlink()
    assert main(COMMANDS["resume"]) == 0
    if name == "summary.json":
        kept = [json.loads(text)["test"] for text in (before, (RUN / name).read_bytes())]
        assert kept[0] == kept[1]
    elif name != "metrics.csv":
        assert (RUN / name).read_bytes() == before


def test_the_cure_of_a_damaged_last_checkpoint(folder, capsys):
    damage(RUN / "checkpoints" / "last.ckpt", BINARY)
    _, _, hint = told(capsys, "more")
    assert "Copy best.ckpt over it" in hint
    shutil.copy(RUN / "checkpoints" / "best.ckpt", RUN / "checkpoints" / "last.ckpt")
    assert main(COMMANDS["more"]) == 0
    assert json.loads((RUN / "summary.json").read_text())["epochs"] == 3


def test_the_cure_of_a_damaged_best_checkpoint(folder, capsys):
    damage(RUN / "checkpoints" / "best.ckpt", BINARY)
    _, _, hint = told(capsys, "more")
    assert "rename the folder checkpoints" in hint
    (RUN / "checkpoints").rename(RUN / "old")
    assert main(COMMANDS["more"]) == 0
    assert json.loads((RUN / "summary.json").read_text())["epochs"] == 3


def test_a_best_checkpoint_that_is_missing_is_told_before_the_training(folder, capsys):
    (RUN / "checkpoints" / "best.ckpt").unlink()
    code, error, _ = told(capsys, "more")
    assert (code, error) == (3, f"error: {RUN / 'checkpoints' / 'best.ckpt'}: no such checkpoint")


def test_fewer_epochs_than_a_stopped_run_has_done(folder, capsys):
    (RUN / "summary.json").unlink()
    code, error, hint = told(capsys, "less")
    assert code == 2
    assert "optim.max_epoch: got 1, expected at least 2" in error
    assert "optim.max_epoch" in hint


@pytest.mark.parametrize("name", ["parts.png", "metrics.csv", "summary.json", "environment.json"])
def test_a_report_follows_no_link_out_of_the_folder(folder, capsys, name):
    secret = folder / "secret"
    shutil.copy(RUN / (name if (RUN / name).exists() else "learning_curves.png"), secret)
    (RUN / name).unlink(missing_ok=True)
    (RUN / name).symlink_to(secret)
    code, error, hint = told(capsys, "report")
    assert code == 3
    assert f"{RUN / name}: got a link out of the folder of the run" in error
    assert "delete the link" in hint
    assert not (folder / "report.html").exists()


def test_a_folder_that_is_a_link_is_read(folder):
    RUN.rename("elsewhere")
    RUN.symlink_to(folder / "elsewhere")
    assert main(COMMANDS["report"]) == 0


def test_what_a_killed_run_left_is_removed_and_nothing_else(folder):
    strays = [RUN / ".summary.0a1b2c3d4e5f.part.json", RUN / "checkpoints" / ".last.0a1b2c3d4e5f.part.ckpt"]
    mine = [RUN / ".summary.mine.part.json", RUN / ".notes"]
    for path in (*strays, *mine):
        path.write_text("x")
    (RUN / ".model.0a1b2c3d4e5f.part").mkdir()
    assert main(COMMANDS["resume"]) == 0
    assert not any(path.exists() for path in (*strays, RUN / ".model.0a1b2c3d4e5f.part"))
    assert all(path.exists() for path in mine)
