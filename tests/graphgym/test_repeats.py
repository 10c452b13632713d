import pytest

from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.config import cfg, load_config
from pyg_samsa.graphgym.repeats import check_one_split, list_repeats

CORNELL = ["dataset.format", "PyG-WebKB", "dataset.name", "cornell"]


def test_seeds_follow_each_other():
    loaded = load_config("quickstart", ["seed", "5"])
    assert [(one.loaded.name, one.seed, one.split) for one in list_repeats(loaded, 3)] == [
        ("quickstart", seed, None) for seed in (5, 6, 7)
    ]


def test_a_split_is_chosen_for_one_run_and_given_back_after_an_error():
    loaded = load_config("quickstart", [*CORNELL, "run_multiple_splits", "[0, 7]"])
    first, second = list_repeats(loaded, 1)
    for one, split in ((first, None), (second, 7)):
        with one.chosen():
            assert (cfg.dataset.split_index, cfg.run_multiple_splits) == (split, [])
        assert (cfg.dataset.split_index, cfg.run_multiple_splits) == (None, [0, 7])
    with pytest.raises(ZeroDivisionError), second.chosen():
        _ = 1 / 0
    assert (cfg.dataset.split_index, cfg.run_multiple_splits) == (None, [0, 7])


@pytest.mark.parametrize(
    ("words", "repeat", "message"),
    [
        ([*CORNELL, "run_multiple_splits", "[0, 1]"], 2, r"--repeat: got 2, expected 1 with run_multiple_splits"),
        ([*CORNELL, "run_multiple_splits", "[0, 0]"], 1, r"run_multiple_splits: got \[0, 0\], expected different"),
        ([*CORNELL, "run_multiple_splits", "[-1]"], 1, r"run_multiple_splits: got \[-1\], expected different"),
        ([*CORNELL, "run_multiple_splits", "[True]"], 1, r"run_multiple_splits: got \[True\], expected different"),
        ([*CORNELL, "run_multiple_splits", "[a]"], 1, r"run_multiple_splits: got \['a'\], expected different"),
        (
            [*CORNELL, "run_multiple_splits", "[0]", "dataset.split_index", "1"],
            1,
            "dataset.split_index: got 1, expected nothing with run_multiple_splits",
        ),
        ([*CORNELL, "run_multiple_splits", "[0]", "run_name", "a" * 96], 1, "run_name: got 'aaaa.*-split0'"),
        (["run_multiple_splits", "[0]"], 1, r"expected \[\] for data sets that have one split"),
        (
            [*CORNELL, "run_multiple_splits", "[0, 1]", "dataset.node_split", "random"],
            1,
            r"expected \[\] with dataset.node_split random",
        ),
    ],
)
def test_splits_that_cannot_be_run_are_refused(words, repeat, message):
    loaded = load_config("quickstart", words)
    with pytest.raises(ConfigError, match=message):
        list_repeats(loaded, repeat)


def test_a_run_of_many_has_one_split():
    load_config("quickstart", [*CORNELL, "run_multiple_splits", "[0]"])
    with pytest.raises(ConfigError, match=r"run_multiple_splits: got \[0\], expected \[\] here") as error:
        check_one_split()
    assert "dataset.split_index" in error.value.hint
