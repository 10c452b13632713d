from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from pyg_samsa.viz.run_tables import print_results


def result(folder, seed=0, reused=False):
    values = {
        "seed": seed,
        "reused": reused,
        "best_epoch": 2,
        "epochs": 3,
        "seconds": 6.0,
        "parameters": 1234,
        "fallback": "",
        "official": {},
    }
    return SimpleNamespace(
        folder=SimpleNamespace(path=folder), val={"ap": 0.4}, test={"ap": 0.5 + seed}, per_class=None, **values
    )


@pytest.mark.parametrize("reused", [False, True])
def test_metrics_cost_and_files_are_printed(tmp_path, capsys, reused):
    (tmp_path / "summary.json").touch()
    console = Console(width=100, no_color=True)
    print_results(console, [result(tmp_path, seed, reused) for seed in (0, 1)], seconds=75)
    shown = capsys.readouterr().out
    assert "1.000 ± 0.707" in shown
    assert ("1,234 parameters" in shown) != reused
    assert "summary.json" in shown
    assert "metrics.csv" not in shown
    assert str(Path(tmp_path).name) in shown.replace("\n", "")


def test_the_figure_of_the_benchmarks_own_judge_is_printed(tmp_path, capsys):
    results = [result(tmp_path, seed) for seed in (0, 1)]
    for one in results:
        one.official = {"rocauc": 0.5 + one.seed / 10}
    print_results(Console(width=60, no_color=True), results, seconds=75)
    assert "Test rocauc by OGB's Evaluator: 0.5500 ± 0.0707" in capsys.readouterr().out


def test_a_metric_that_is_undefined_is_told(tmp_path, capsys):
    one = result(tmp_path)
    one.fallback = "val_auc is undefined (NaN) in all epochs; the best epoch was chosen by val_loss"
    print_results(Console(width=60, no_color=True), [one], seconds=75)
    assert f"seed 0: {one.fallback}" in capsys.readouterr().out


def test_networks_of_one_predictor_are_counted_each_and_together(tmp_path, capsys):
    """The report of an ensemble adds up times and parameters; the terminal shows both."""
    print_results(Console(width=100, no_color=True), [result(tmp_path, n) for n in (0, 1)], seconds=75, together=True)
    shown = " ".join(capsys.readouterr().out.split())
    assert "Networks with the weights of epochs 2 of 3, 2 of 3" in shown
    assert "12.0s of it training · 2.0 s per epoch of a network · 1,234 parameters each, 2,468 together" in shown
