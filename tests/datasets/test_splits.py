import pytest
import torch

from pyg_samsa.datasets.splits import (
    column_split,
    consecutive_splits,
    hold_out,
    label_strata,
    quantile_strata,
    split_sizes,
    stratified_split,
)
from pyg_samsa.errors import ConfigError


@pytest.mark.parametrize("count", [0, 1, 7, 100, 1001])
def test_stratified_split_properties(count):
    shares = {"train": 0.7, "val": 0.15, "test": 0.15}
    names, groups = [f"name {number}" for number in range(count)], [number % 3 for number in range(count)]
    split = stratified_split(names, groups, shares)
    assert torch.equal(torch.cat(list(split.values())).sort().values, torch.arange(count))
    for name, share in shares.items():
        assert abs(len(split[name]) - share * count) < 1 + 1e-9
        for group in range(3):
            members = sum(groups[position] == group for position in split[name].tolist())
            assert abs(members - share * groups.count(group)) < 2
    order = list(reversed(range(count)))
    turned = stratified_split([names[position] for position in order], [groups[position] for position in order], shares)
    for name in shares:
        assert {order[position] for position in turned[name].tolist()} == set(split[name].tolist())


@pytest.mark.parametrize("seed", [0, 5])
def test_hold_out(seed):
    positions = torch.arange(40, 540)
    classes = (positions % 10 == 0).long()
    train, val = hold_out(positions, classes, seed=seed)
    assert torch.equal(torch.cat([train, val]).sort().values, positions)
    assert len(val) == 50
    assert abs(int((val % 10 == 0).sum()) - 5) <= 1
    again = hold_out(positions, classes, seed=seed)
    assert torch.equal(val, again[1])
    assert not torch.equal(val, hold_out(positions, classes, seed=seed + 1)[1])


def test_consecutive_splits_and_their_sizes():
    split = consecutive_splits([2, 0, 3])
    assert {name: rows.tolist() for name, rows in split.items()} == {"train": [0, 1], "val": [], "test": [2, 3, 4]}
    assert split_sizes(split) == {"train": 2, "test": 3}


def test_quintiles_of_the_first_target():
    values = torch.arange(10.0)[:, None]
    assert quantile_strata(values) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert quantile_strata(torch.cat([values, values.flip(0)], 1)) == quantile_strata(values)
    values[0] = float("nan")  # counts as the mean, 5
    assert quantile_strata(values)[0] == quantile_strata(values)[5]


def test_rows_with_the_same_labels_are_in_one_stratum():
    nan = float("nan")
    assert label_strata(torch.tensor([[0.0, 1.0], [nan, 1.0], [0.0, 1.0], [1.0, nan]])) == [1, 0, 1, 2]


def test_other_words_of_a_split_column_are_to_be_renamed():
    with pytest.raises(ConfigError, match="row 2, column 'set': got 'internal'") as caught:
        column_split(["train", "internal", "external", "test", "internal"], [1, 2, 3, 4, 5], "set")
    assert caught.value.hint == "Write train, val or test in each row: rename 'internal', 'external'."
