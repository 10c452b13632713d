import pytest

from pyg_samsa.errors import ConfigError
from pyg_samsa.io.csv_columns import SMILES_NAMES, find_column, find_columns, find_extra_columns, refuse_molecules_alone


def test_a_pattern_may_be_the_name_of_a_column():
    header = ["smiles", "IC50 [nM]", "Ki [nM]"]
    assert find_columns(header, ["all", "!IC50 [nM]"], key="k", taken={0: "the column of SMILES"}) == [2]
    assert find_columns(["smiles", "y", "...1"], ["all"], key="k", taken={0: "the column of SMILES"}) == [1]


def test_patterns_find_columns():
    header = ["", "id", "smiles", "NR-AR", "NR-ER", "SR-p53", "all*", "Unnamed: 0.1"]

    def find(*words):
        return find_columns(header, words, key="--target-columns", taken={2: "the column of SMILES"})

    assert find("all") == [1, 3, 4, 5, 6]
    assert find("all", "!id", "!all?") == [3, 4, 5]
    assert find("?R-*") == [3, 4, 5]
    assert find("NR-ER", "NR-*") == [3, 4]
    assert find("all*") == [6]  # a name comes before a pattern
    assert find("5", "id") == [4, 1]
    assert find("!id") == [3, 4, 5, 6]
    for words in (["XR-*"], ["NR-AR", "NR-AR"], ["smiles"], ["3"], ["id", "!id"], ["!none*"]):
        with pytest.raises(ConfigError):
            find(*words)
    with pytest.raises(ConfigError) as caught:
        find("NR-A")
    assert "NR-AR" in caught.value.hint


def test_columns():
    header = ["id", " Canonical_SMILES ", "y", "y", ""]
    assert find_column(header, "", key="k", fallbacks=SMILES_NAMES) == 1
    assert find_column(header, "Canonical_SMILES", key="k") == 1
    assert find_column(header, "4", key="k") == 3
    assert find_column(["anything"], "", key="k") == 0
    assert find_column(["id", "Canonical SMILES (RDKit)"], "", key="k", fallbacks=SMILES_NAMES) == 1
    with pytest.raises(ConfigError):
        find_column(["SMILES in", "SMILES out"], "", key="k", fallbacks=SMILES_NAMES)
    assert find_column(["7", "x"], "7", key="k") == 0
    for wanted in ("y", "z", "0", "6", "", "²"):
        with pytest.raises(ConfigError):
            find_column(header, wanted, key="k")
    with pytest.raises(ConfigError) as caught:
        find_column(["smiles", "logS"], "logs", key="--target-columns")
    assert "logS" in caught.value.hint


def test_columns_of_a_model_are_found_by_their_exact_names():
    assert find_extra_columns([" pH ", "smiles", "T"], ["T", "pH"], key="IN") == {"T": 2, "pH": 0}
    for header in (["smiles", "ph"], ["pH", "pH"]):
        with pytest.raises(ConfigError, match=r"IN: .* expected a table with (a|one) column 'pH'"):
            find_extra_columns(header, ["pH"], key="IN")
    for header, hint in (
        (["smiles", "ph"], "Did you mean 'ph'? The model was trained with the extra column 'pH'; leave"),
        (["smiles", "pH", "pH"], "Rename all but one of them."),
        ([], "Write a first row that names the columns"),
        (["smiles"], "The model was trained with the extra column 'pH'; leave"),
    ):
        with pytest.raises(ConfigError) as caught:
            find_extra_columns(header, ["pH"], key="IN")
        assert caught.value.hint.startswith(hint)
    with pytest.raises(ConfigError, match="'1'"):
        find_extra_columns(["smiles", "pH"], ["1"], key="IN")


@pytest.mark.parametrize(
    ("header", "number"),
    [(["", "y"], 1), (["y", "Unnamed: 1"], 2), (["id", "smiles", "smiles"], 2), (["mol", "Mol"], 1)],
)
def test_columns_without_a_name_of_their_own_are_asked_for_by_number(header, number):
    with pytest.raises(ConfigError) as caught:
        find_column(header, "", key="--smiles-column", fallbacks=SMILES_NAMES)
    assert caught.value.hint == f"Pass its number: --smiles-column {number}."
    assert find_column(header, str(number), key="--smiles-column") == number - 1


def test_names_with_commas_and_in_another_case():
    for word, hint in (("y,id", "Separate names by spaces: --target-columns y id"), ("Y", "Did you mean 'y'?")):
        with pytest.raises(ConfigError) as caught:
            find_columns(["smiles", "y", "id"], [word], key="--target-columns", taken={0: "the column of SMILES"})
        assert caught.value.hint == hint


def test_molecules_alone_do_for_models_without_columns():
    refuse_molecules_alone([], key="IN")
    with pytest.raises(ConfigError, match=r"got 'a SMILES alone', .* the columns 'T', 'pH'") as caught:
        refuse_molecules_alone(["T", "pH"], key="IN")
    assert "'smiles', 'T', 'pH'" in caught.value.hint


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["smiles"], "k: the column 'smiles' is the column of SMILES"),
        (["y", "1"], "k: the column 'smiles' is the column of SMILES"),
        (["y", "y"], "k: the column 'y' is named twice"),
        (["y", "2"], "k: the column 'y' is named twice"),
        (["3", "3"], "k: the column 3 is named twice"),
    ],
)
def test_a_column_with_another_use_is_named(words, told):
    with pytest.raises(ConfigError) as caught:
        find_columns(["smiles", "y", ""], words, key="k", taken={0: "the column of SMILES"})
    assert (str(caught.value), caught.value.hint) == (told, "Name each column for one use.")
