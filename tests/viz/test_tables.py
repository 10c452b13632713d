import statistics

import pytest
from rich.console import Console
from rich.table import Table

from pyg_samsa.errors import ConfigError
from pyg_samsa.viz import metrics_table, per_class_table
from pyg_samsa.viz.tables import predictor_table

NAN = float("nan")


def lines(table: Table, width: int = 80) -> list[str]:
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        console.print(table)
    return capture.get().splitlines()


def row(table: Table, start: str) -> str:
    (found,) = [line for line in lines(table) if line.strip().startswith(start)]
    return " ".join(found.split())


def results(repeats: int) -> list[dict[str, object]]:
    return [
        {
            "split": split,
            "seed": seed,
            "epoch": 7,
            "loss": 0.2 + 0.01 * seed,
            "ap": 0.6 + 0.02 * seed,
            "mae": 1234.0 + seed,
            "file": "x",
        }
        for seed in range(repeats)
        for split in ("test", "train", "val")
    ]


def test_mean_and_sample_deviation_over_repeats() -> None:
    table = metrics_table(results(3))
    deviation = statistics.stdev([0.6, 0.62, 0.64])
    assert row(table, "ap") == "ap ↑ " + " ".join([f"0.6200 ± {deviation:.4f}"] * 3)
    assert row(table, "mae") == "mae ↓ " + " ".join(["1235.0 ± 1.0"] * 3)
    assert any("of 3 repeats" in line for line in lines(table))


def test_one_repeat_has_no_deviation() -> None:
    table = metrics_table(results(1))
    assert row(table, "loss") == "loss ↓ 0.2000 0.2000 0.2000"
    assert not any("±" in line for line in lines(table))


def test_columns_and_rows() -> None:
    table = metrics_table([*results(1), {"split": "extra", "ap": 0.1}])
    assert [column.header for column in table.columns] == ["metric", "train", "val", "test", "extra"]
    assert row(table, "loss").endswith("–")
    shown = "\n".join(lines(table))
    assert "seed" not in shown
    assert "epoch" not in shown
    assert "file" not in shown


def test_nan_is_not_counted() -> None:
    rows = [{"split": "test", "ap": value} for value in (0.5, NAN, 0.7, None)]
    assert row(metrics_table(rows), "ap").startswith("ap ↑ 0.6000 ± 0.1414")


def test_a_metric_that_is_undefined_has_a_row() -> None:
    rows = [{"split": split, "loss": 0.5, "auc": NAN, "note": "x"} for split in ("val", "test")]
    table = metrics_table(rows)
    assert row(table, "auc") == "auc ↑ – –"
    assert not any("note" in line for line in lines(table))


def test_tasks_that_were_trained_together_are_grouped() -> None:
    values = {"loss": 0.5, "toxic/loss": 0.1, "toxic/ap": 0.9, "logS/loss": 0.4, "logS/mae": 0.3, "score": 0.7}
    table = metrics_table([{"split": "val", **values}, {"split": "test", **values}])
    shown = [" ".join(line.split()) for line in lines(table)]
    assert [line for line in shown if line and not line.startswith("─")] == [
        "Results",
        "task metric val test",
        "all loss ↓ 0.5000 0.5000",
        "score ↑ 0.7000 0.7000",
        "toxic loss ↓ 0.1000 0.1000",
        "ap ↑ 0.9000 0.9000",
        "logS loss ↓ 0.4000 0.4000",
        "mae ↓ 0.3000 0.3000",
    ]


@pytest.mark.parametrize("repeats", [1, 3])
def test_members_and_their_scores_fit_80_columns_uncut(repeats: int) -> None:
    names = ["network", "3 x trees rdkit2d+morgan_count+topological_torsion", "predictor"]
    scores = {name: {split: {"mae": 0.000964, "rmse": 0.4} for split in ("val", "test")} for name in names}
    weights = dict.fromkeys(names[:-1], 0.5)
    table = predictor_table([scores] * repeats, [weights] * repeats, [dict.fromkeys(names[:-1], 763.0)] * repeats)
    printed = lines(table)
    assert max(len(line.rstrip()) for line in printed) <= 80
    text = " ".join(" ".join(printed).split())
    for word in ("topological_torsion", "12m43s", "0.000964" if repeats == 1 else "0.000964 ± 0"):
        assert word in text
    assert "…" not in text


@pytest.mark.parametrize(
    ("values", "shown"), [((1e-6, 3e-6), "2e-06 ± 1e-06"), ((0.0, 0.0), "0.0000 ± 0.0000"), ((2e6, 2e6), "2e+06 ± 0")]
)
def test_very_small_and_very_large(values: tuple[float, float], shown: str) -> None:
    assert row(metrics_table([{"split": "test", "mse": value} for value in values]), "mse") == f"mse {shown}"


@pytest.mark.parametrize("repeats", [1, 10])
def test_three_splits_fit_80_columns_uncut(repeats: int) -> None:
    rows = [{**result, "accuracy_macro": 0.5, "spearman": -0.25} for result in results(repeats)]
    printed = lines(metrics_table(rows, title="peptides_func_small"))
    assert max(len(line.rstrip()) for line in printed) <= 80
    assert "…" not in "".join(printed)
    assert sum(line.strip().startswith("accuracy_macro ↑") for line in printed) == 1


def test_per_class() -> None:
    table = per_class_table(["antimicrobial", "toxic", "empty"], [0.8, 0.41, NAN], [0.5, 0.1, 0.0], [5000, 10, 0])
    assert row(table, "antimicrobial").startswith("antimicrobial 5,000 0.500 0.800 █████████▋")
    assert row(table, "toxic") == "toxic 10 0.100 0.410 ████▉"
    assert row(table, "empty") == "empty 0 0.000 –"
    assert row(table, "mean") == "mean 0.200 0.605"


def test_per_class_with_long_names_fits_80_columns() -> None:
    name = "a very long class name " * 3 + "identifier_" * 8
    printed = lines(per_class_table([name, "b"], [1.0, 0.0], [0.123, 0.456], [123456, 7]))
    assert max(len(line.rstrip()) for line in printed) <= 80
    assert "…" not in "".join(printed)
    assert sum("█" * 12 in line for line in printed) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics_table([]), "at least one row"),
        (lambda: metrics_table([{"ap": 1.0}]), "'split'"),
        (lambda: per_class_table([], [], [], []), "at least one class"),
        (lambda: per_class_table(["a"], [0.1], [0.1], []), "number of positives: got 0, expected 1"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        call()


def test_rows_of_a_predictor_can_be_called_otherwise() -> None:
    scores = {name: {"test": {"mae": 0.5}} for name in ("network", "trees maccs", "predictor")}
    table = predictor_table([scores], [{"network": 0.25, "trees maccs": 0.75}], labels={"network": "network, refitted"})
    assert row(table, "network") == "network, refitted 0.25 0.5000"
    assert row(table, "trees") == "trees maccs 0.75 0.5000"
