import json

import pandas as pd
import pytest
import yaml

from pyg_samsa.cli import main


@pytest.fixture
def run(tmp_path):
    """Writes the folder of a run."""

    def write(name="demo", seed=0, *, finished=True, **settings):
        folder = tmp_path / "results" / name / str(seed)
        folder.mkdir(parents=True)
        config = {
            "seed": seed,
            "out_dir": str(tmp_path),
            "metric_best": "ap",
            "optim": {"max_epoch": 2, "base_lr": 0.1},
            **settings,
        }
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        (folder / "environment.json").write_text(json.dumps({"python": "3.11", "packages": {"torch": "2.13"}}))
        pd.DataFrame(
            {"epoch": [1, 2], "total_seconds": [1.0, 2.0], "val_loss": [2.0, 1.0], "val_ap": [0.2, 0.3]}
        ).to_csv(folder / "metrics.csv", index=False)
        if finished:
            summary = {
                "seed": seed,
                "best_epoch": 2,
                "epochs": 2,
                "parameters": 10,
                "seconds": 2.0,
                "seconds_per_epoch": 1.0,
                "monitor": "val_ap",
            }
            summary |= {"val": {"ap": 0.3}, "test": {"ap": 0.25 + 0.5 * seed}}
            (folder / "summary.json").write_text(json.dumps(summary))
            predictions = {
                "row": [0, 1, 2, 3],
                "smiles": ["CCO", "C", "N", "O"],
                "toxic_true": [0, 1, 1, 0],
                "toxic_pred": [0.2, 0.9, 0.4, 0.6],
            }
            pd.DataFrame(predictions).to_csv(folder / "predictions_test.csv", index=False)
        return folder

    return write


def test_seeds_of_an_experiment(run, tmp_path, capsys):
    first, _ = run(seed=0), run(seed=1)
    assert main(["report", str(first.parent)]) == 0
    page = first.parent / "report.html"
    assert f"{page}  2 runs" in capsys.readouterr().out
    text = page.read_text()
    assert "0.5000 ± 0.3536" in text
    assert "Worst predictions" in text
    # A page beside the runs is no run.
    assert (
        main(["report", str(tmp_path / "results"), "--out", str(tmp_path / "b.html"), "--title", "Two <seeds>", "-q"])
        == 0
    )
    assert capsys.readouterr().out == ""
    assert "<h1>Two &lt;seeds&gt;</h1>" in (tmp_path / "b.html").read_text()


def test_runs_side_by_side(run, tmp_path):
    folders = [run("one"), run("two", optim={"max_epoch": 2, "base_lr": 0.5}), run("three", finished=False)]
    assert main(["report", *map(str, folders), "--out", str(tmp_path / "page.html")]) == 0
    text = (tmp_path / "page.html").read_text()
    assert "3 runs" in text
    assert '<td class="differs">0.1</td><td class="differs">0.5</td><td class="differs">0.1</td>' in text
    assert "did not finish (2 of 2 epochs)" in text


def test_browser(run, monkeypatch):
    import webbrowser

    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    folder = run()
    assert main(["report", str(folder), "--open"]) == 0
    assert opened == [(folder / "report.html").resolve().as_uri()]


@pytest.mark.parametrize(
    ("file", "content", "code"),
    [
        ("config.yaml", "a: [", 3),
        ("config.yaml", "text", 3),
        ("summary.json", "{", 3),
        ("metrics.csv", "", 3),
        ("predictions_test.csv", "", 3),
    ],
)
def test_damaged_files_are_named(run, capsys, file, content, code):
    folder = run()
    (folder / file).write_text(content)
    assert main(["report", str(folder)]) == code
    assert f"{folder / file}" in capsys.readouterr().err
    assert not (folder / "report.html").exists()


def test_nothing_to_report(tmp_path, run, capsys):
    assert main(["report", str(tmp_path / "nowhere")]) == 3
    assert main(["report", str(tmp_path)]) == 3
    assert main(["report", str(run()), "--out", "page.pdf"]) == 2
    assert capsys.readouterr().err.count("error: ") == 3


def test_an_output_that_is_no_page_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    assert main(["report", "none", "--out", "folder"]) == 2
    assert "error: --out: got 'folder', expected a file, not a folder" in capsys.readouterr().err
    (tmp_path / "table.csv").touch()
    assert main(["report", "table.csv"]) == 3
    assert "error: table.csv: no such folder" in capsys.readouterr().err
