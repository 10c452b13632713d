from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from pyg_samsa.errors import ConfigError
from pyg_samsa.viz.sweeps import plot_curves, plot_sweep, sweep_table


def runs(**varied):
    count = len(next(iter(varied.values())))
    rows = {"cell": [f"cell {number}" for number in range(count)], **varied}
    table = pd.DataFrame(rows).loc[np.repeat(np.arange(count), 2)].reset_index(drop=True)
    generator = np.random.default_rng(0)
    table["seed"] = [0, 1] * count
    table["test_ap"] = np.repeat(np.linspace(0.5, 0.7, count), 2) + generator.normal(0, 0.01, 2 * count)
    return table.assign(
        seconds=generator.uniform(5, 20, 2 * count), seconds_per_epoch=2.5, parameters=1234, peak_memory_mib=np.nan
    )


def text(table):
    console = Console(width=140, no_color=True)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_table_has_mean_and_deviation():
    results = runs(K=["8", "16"], sampling=["hard", "hard"])
    results["test_ap"] = [0.6, 0.62, 0.5, 0.5]
    shown = text(sweep_table(results, metric="test_ap", keys=["K", "sampling"]))
    assert "0.6100 ± 0.0141" in shown
    assert "0.5000 ± 0.0000" in shown
    assert "1,234" in shown
    assert "MiB" not in shown


def test_lists_are_shown_as_they_are():
    shown = text(sweep_table(runs(steps=["[]", "[fragment]"]), metric="test_ap", keys=["steps"]))
    assert "[fragment]" in shown


def test_names_of_settings_are_broken_at_their_points_only():
    results = runs(**{"samsa.num_samples": ["8", "16"], "samsa.attention": ["samsa", "sft"]})
    results["peak_memory_mib"] = 526.0
    console = Console(width=80, no_color=True)
    with console.capture() as capture:
        console.print(sweep_table(results, metric="test_ap", keys=["samsa.num_samples", "samsa.attention"]))
    for word in ("num_samples", "attention", "parameters", "ap ↑", "1,234"):
        assert word in capture.get()
    assert "…" not in capture.get()


def test_named_cells_keep_their_names():
    results = runs(name=["hard", "soft", "hard", "soft"], K=["8", "8", "16", "16"])
    assert text(sweep_table(results, metric="test_ap", keys=["name", "K"])).count("soft") == 2


@pytest.mark.parametrize(
    "varied",
    [
        {"samsa.num_samples": ["4", "16", "256"]},
        {"samsa.num_samples": ["4", "16", "4", "16"], "samsa.sampling": ["hard", "hard", "soft", "soft"]},
        {"samsa.attention": ["samsa", "sft", "flt", "full", "performer"]},
        {"name": ["hard", "random keys"]},
        {"name": ["hard", "soft", "hard", "soft"], "samsa.num_samples": ["4", "4", "16", "16"]},
        {"samsa.layers": ["2"]},
    ],
)
def test_plots(varied, tmp_path):
    path = plot_sweep(runs(**varied), tmp_path / "sweep.png", metric="test_ap", keys=list(varied), title="A sweep")
    assert path.stat().st_size > 10_000


def test_curves(tmp_path):
    results = runs(name=["a", "b"])
    results["folder"] = [str(tmp_path / str(number)) for number in range(len(results))]
    for number, folder in enumerate(results["folder"]):
        # One run was stopped earlier than the others.
        epochs = np.arange(1, 4 - (number == 0))
        Path(folder).mkdir()
        pd.DataFrame(
            {"epoch": epochs, "step": 10 * epochs, "total_seconds": 2.0 * epochs, "val_ap": epochs / 4}
        ).to_csv(Path(folder) / "metrics.csv")
    assert plot_curves(results, tmp_path / "curves.png", metric="ap").stat().st_size > 10_000
    with pytest.raises(ConfigError, match="auc"):
        plot_curves(results, tmp_path / "curves.png", metric="auc")


def test_values_that_are_not_defined(tmp_path):
    results = runs(name=["a", "b", "c"])
    results.loc[results["name"] == "b", "test_ap"] = np.nan
    shown = text(sweep_table(results, metric="test_ap", keys=["name"]))
    assert "–" in next(line for line in shown.splitlines() if line.strip().startswith("b "))
    assert plot_sweep(results, tmp_path / "a.png", metric="test_ap", keys=["name"]).is_file()
    with pytest.raises(ConfigError, match="value"):
        plot_sweep(results.assign(test_ap=np.nan), tmp_path / "b.png", metric="test_ap", keys=["name"])


def test_mistakes_are_named(tmp_path):
    results = runs(K=["8", "16"])
    with pytest.raises(ConfigError, match="no_such"):
        plot_sweep(results, tmp_path / "a.png", metric="no_such", keys=["K"])
    with pytest.raises(ConfigError, match="0 rows"):
        sweep_table(results[:0], metric="test_ap", keys=["K"])
    with pytest.raises(ConfigError, match="path"):
        plot_sweep(results, tmp_path / "a.txt", metric="test_ap", keys=["K"])
