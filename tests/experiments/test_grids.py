import itertools

import pytest
import yaml

from pyg_samsa.errors import ConfigError
from pyg_samsa.experiments.grids import find_grid, parse_seeds, read_grid


@pytest.fixture
def grid(tmp_path):
    def write(content, name="g.yaml"):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
        return path

    return write


def test_every_combination_in_order(grid):
    found = read_grid(
        grid(
            {
                "base": "quickstart",
                "grid": {"samsa.layers": [1, 2], "samsa": {"sampling": ["hard", "soft", "replacement"]}},
            }
        )
    )
    assert [tuple(cell.varied.values()) for cell in found.cells] == list(
        itertools.product([1, 2], ["hard", "soft", "replacement"])
    )
    assert found.cells[0].label == "layers=1, sampling=hard"
    assert (found.keys, found.seeds, found.name) == (["samsa.layers", "samsa.sampling"], [0], "g")
    assert found.columns == found.keys
    assert len({cell.name for cell in found.cells}) == 6


def test_named_cells_are_run_with_every_combination(grid):
    cells = {"hard": {"samsa.sampling": "hard"}, "random keys": {"samsa.importance": "random"}}
    found = read_grid(
        grid(
            {
                "base": "b",
                "cells": cells,
                "grid": {"samsa.num_samples": [4, 8]},
                "seeds": 2,
                "metric": "ap",
                "set": {"optim": {"max_epoch": 3}},
            }
        )
    )
    assert [cell.label for cell in found.cells] == [
        "hard, num_samples=4",
        "hard, num_samples=8",
        "random keys, num_samples=4",
        "random keys, num_samples=8",
    ]
    assert found.cells[2].varied == {"samsa.importance": "random", "samsa.num_samples": 4}
    assert (found.keys, found.columns) == (
        ["samsa.sampling", "samsa.num_samples", "samsa.importance"],
        ["name", "samsa.num_samples"],
    )
    assert (found.seeds, found.metric, found.common) == ([0, 1], "ap", {"optim.max_epoch": 3})
    alone = read_grid(grid({"base": "b", "cells": cells}))
    assert [cell.label for cell in alone.cells] == ["hard", "random keys"]
    assert [" " in cell.name for cell in alone.cells] == [False, False]


def test_graphgyms_text_format(grid):
    text = "# a comment\nsamsa.layers l [1,2]\nsamsa.sampling s ['hard', 'soft'] # another\n\n\nsamsa.layers l [9]\n"
    found = read_grid(grid(text, "g.txt"), base="quickstart")
    assert [tuple(cell.varied.values()) for cell in found.cells] == [
        (1, "hard"),
        (1, "soft"),
        (2, "hard"),
        (2, "soft"),
        (9,),
    ]
    with pytest.raises(ConfigError, match="--base"):
        read_grid(grid(text, "g.txt"))


def test_a_base_beside_the_grid_is_found(grid, tmp_path):
    (tmp_path / "mine.yaml").write_text("seed: 1")
    assert read_grid(grid({"base": "mine.yaml", "grid": {"seed": [1]}})).base == str(tmp_path / "mine.yaml")


def test_folders_differ_where_capitals_and_small_letters_are_the_same(grid):
    cells = {"gin": {"samsa.layers": 1}, "GIN": {"samsa.layers": 2}, "Gin": {"samsa.layers": 3}, "Other": {}}
    found = read_grid(grid({"base": "quickstart", "cells": cells})).cells
    names = [cell.name for cell in found]
    assert (names[0], names[3]) == ("gin", "Other")
    turned = read_grid(grid({"base": "quickstart", "cells": dict(reversed(cells.items()))})).cells
    assert [cell.name for cell in turned] == names[::-1]
    assert len({name.casefold() for name in names}) == 4
    assert [cell.label for cell in found] == list(cells)


def test_names_of_folders_are_safe_and_differ(grid):
    values = ["a/b", "a:b", "a b", "x" * 300, "x" * 299 + "y"]
    found = read_grid(grid({"base": "b", "grid": {"dataset.folder": values}}))
    names = [cell.name for cell in found.cells]
    assert len(set(names)) == len(values)
    assert all(len(name) <= 100 and not set(name) & set("/: ") for name in names)
    same_ending = read_grid(grid({"base": "b", "grid": {"samsa.dropout": [0.1], "gnn.dropout": [0.2]}}))
    assert same_ending.cells[0].label == "samsa.dropout=0.1, gnn.dropout=0.2"


@pytest.mark.parametrize(
    ("content", "culprit"),
    [
        ({"base": "b"}, "grid"),
        ({"base": "b", "grid": {"samsa.layers": 3}}, "samsa.layers"),
        ({"base": "b", "grid": {"samsa.layers": []}}, "samsa.layers"),
        ({"base": "b", "gird": {"samsa.layers": [1]}}, "gird"),
        ({"base": "b", "grid": {"samsa.layers": [1]}, "seeds": 0}, "seeds"),
        ({"base": "b", "grid": {"samsa.layers": [1, 1]}}, "differ"),
        ({"base": "b", "cells": {"a": 3}}, "cells"),
        ({"grid": {"samsa.layers": [1]}}, "--base"),
        ("- 1\n- 2\n", "YAML"),
        ("a: [", "line"),
    ],
)
def test_mistakes_are_named(grid, content, culprit):
    with pytest.raises(ConfigError, match=culprit):
        read_grid(grid(content))


@pytest.mark.parametrize("line", ["samsa.layers [1,2]", "samsa.layers l 1,2", "samsa.layers l []", "samsa.layers"])
def test_a_wrong_line_of_a_text_grid_is_named(grid, line):
    with pytest.raises(ConfigError, match="line 2"):
        read_grid(grid(f"# comment\n{line}\n", "g.txt"), base="quickstart")


def test_seeds_of_the_command_line():
    assert [parse_seeds(text) for text in ("1", "3", "5,", "2,0,2")] == [[0], [0, 1, 2], [5], [2, 0]]
    for text in ("0", "-1", "x", "1,x", "1,-2"):
        with pytest.raises(ConfigError, match="--seeds"):
            parse_seeds(text)


def test_unknown_names_are_told_which_there_are():
    assert find_grid("samples") == find_grid("samples.yaml")
    with pytest.raises(ConfigError, match="samples") as caught:
        find_grid("sampels")
    assert caught.value.hint == "Did you mean 'samples'?"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("grid:\n" + "".join(f"  k{i}: [0, 1, 2]\n" for i in range(9)), "at most 10,000 cells; it has 19,683"),
        ("grid: {a: [1]}\nseeds: 1000000000000", "from 1 to 10,000"),
        ("a: &a [1, *a]", "contains itself"),
        ("grid: " + "[" * 1000, "more than 50 levels"),
        ("x" * 2**23, "more than 4,194,304 bytes"),
    ],
)
def test_grids_that_ask_for_much(grid, content, words):
    with pytest.raises(ConfigError, match=words):
        read_grid(grid(content), base="quickstart")


def test_text_grids_that_ask_for_much(grid):
    with pytest.raises(ConfigError, match="at most 10,000 cells; it has 59,049"):
        read_grid(grid("".join(f"k{i} k{i} [0,1,2]\n" for i in range(10)), "g.txt"), base="quickstart")
    with pytest.raises(ConfigError, match="line 1"):
        read_grid(grid("k k " + "[" * 100_000, "g.txt"), base="quickstart")
