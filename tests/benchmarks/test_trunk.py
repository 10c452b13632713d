import pandas as pd
import pytest
import torch

from benchmarks import trunk, trunk_report


def scores():
    return pd.DataFrame(
        [
            {"task": task, "metric": "ap", "trained": how, "seed": seed, "score": 0.5 + 0.1 * seed + gain}
            for task, gains in (("molecules", (0.0, 0.05)), ("points", (0.0, -0.02)))
            for seed in range(2)
            for how, gain in zip(("alone", "together"), gains, strict=True)
        ]
    )


def test_differences_are_those_of_the_same_seed():
    table = trunk_report.compared(scores())
    assert table["difference"].tolist() == ["+0.0500 ± 0.0000", "-0.0200 ± 0.0000"]
    assert table["alone"].tolist() == ["0.5500 ± 0.0707"] * 2
    assert trunk_report.markdown(table).splitlines()[2].startswith("| molecules | ap | 0.5500 ± 0.0707 |")


def test_a_seed_without_a_partner_is_left_out():
    rows = pd.concat([scores(), scores().iloc[:1].assign(seed=7)])
    assert trunk_report.compared(rows)["alone"].tolist() == ["0.5500 ± 0.0707"] * 2


@pytest.mark.painted
def test_figures_are_written(tmp_path):
    rows = scores().assign(share=0.05)
    rows = pd.concat([rows, rows.assign(share=1.0)]).rename(columns={"trained": "start"})
    assert trunk_report.by_share(rows)["share"].tolist() == ["5 %", "100 %", "5 %", "100 %"]
    for path in (
        trunk_report.draw_differences(scores(), tmp_path / "together.png"),
        trunk_report.draw_curves(rows, tmp_path / "curves.svg", "Curves"),
    ):
        assert path.stat().st_size > 1000


def test_alignments_and_surgery():
    one = torch.tensor([[1.0, 0.0], [1.0, 0.0]], dtype=torch.double)
    other = torch.tensor([[-1.0, 1.0], [-1.0, -1.0]], dtype=torch.double)
    own, between, within = trunk.alignments({"a": one, "b": other})
    assert own == {"tasks": "a, a", "mean": pytest.approx(1), "batches": pytest.approx(1), "negative": 0}
    assert between["mean"] == pytest.approx(-1)
    assert between["batches"] == pytest.approx(-(0.5**0.5))
    assert between["negative"] == 1
    assert within["batches"] == pytest.approx(0, abs=1e-12)
    # a loses its part along b and the other way round: (1, 0) -> (.5, .5), (-1, 1) -> (0, 1); the sum was (0, 1).
    change = trunk.surgery({"a": one[0], "b": other[0]}, seed=0)
    assert change == pytest.approx((0.5**2 + 0.5**2) ** 0.5)
    assert trunk.surgery({"a": one[0], "b": torch.tensor([1.0, 1.0], dtype=torch.double)}, seed=0) == 0


def test_ways_of_training_are_columns():
    table = trunk_report.by_training(scores())
    assert list(table.columns) == ["task", "metric", "alone", "together"]
    assert table["together"].tolist() == ["0.6000 ± 0.0707", "0.5300 ± 0.0707"]
