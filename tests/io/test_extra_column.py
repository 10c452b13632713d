import copy
import math
import pickle

import pytest

from pyg_samsa.errors import DataError
from pyg_samsa.io.extra_column import ExtraColumn

TEXTS = ["1.137", "1,137", "0,37", "25", "1.137,5", "n.d.", "cold", ">10", ""]


def read(column, texts=TEXTS, **options):
    found = [column.read(text, **options) for text in texts]
    return ["missing" if value is not None and math.isnan(value) else value for value in found]


def test_fields_are_read_as_in_training():
    comma, point = ExtraColumn("T", "comma"), ExtraColumn("T", "point")
    assert read(comma) == [None, 1.137, 0.37, 25.0, 1137.5, "missing", None, None, "missing"]
    assert read(point) == [1.137, None, None, 25.0, None, "missing", None, None, "missing"]
    # Separated thousands are read where the training had them.
    assert ExtraColumn("T", "comma", grouped=True).read("1.137") == 1137.0
    assert ExtraColumn("T", "point", grouped=True).read("1,137") == 1137.0
    assert [comma.is_unclear(text) for text in ("1.137", "-25.123", "1,137", "0.5", "1.137,5")] == [
        True,
        True,
        *[False] * 3,
    ]
    assert read(comma, delimiter=";") == read(comma)
    # Without a decimal sign in training, the field decides, as far as it can.
    assert read(ExtraColumn("T"))[:3] == [1.137, None, 0.37]
    assert read(ExtraColumn("T"), delimiter=";")[:3] == [1.137, 1.137, 0.37]


def test_the_decimal_sign_of_the_table_comes_first():
    comma = ExtraColumn("T", "comma")
    assert comma.read("0.37") is None
    assert read(comma, decimal="point") == [1.137, 1137.0, None, 25.0, None, "missing", None, None, "missing"]
    assert comma.read("1.137", decimal="comma") == 1137.0
    assert comma.read("0.37", decimal="comma") == 0.37
    assert [comma.differs(text) for text in ("0.37", "1.137", "25", "0,37", "cold")] == [True, *[False] * 4]


def test_a_table_in_another_style_is_refused():
    comma = ExtraColumn("T", "comma")
    with pytest.raises(DataError) as caught:
        comma.compare(["", "1.137", "0.37"], rows=[1, 2, 4])
    told = "row 4, column 'T': '0.37' has a decimal point, and the numbers of the training had a decimal comma"
    assert (str(caught.value), caught.value.hint) == (told, "--decimal point reads such a table.")
    with pytest.raises(DataError, match="'0,37' has a decimal comma"):
        ExtraColumn("T", "point").compare(["0,37"])
    for column, options in ((comma, {"decimal": "point"}), (ExtraColumn("T"), {})):
        assert column.compare(["0.37"], **options) == ""
    # Single fields of another style are told row by row.
    assert comma.compare(["0.37", "0,37", "1.137"]) == ""


def test_what_is_unclear_is_told():
    told = "column 'T': '1.137' in row 2 is read as 1137, as in training; --decimal point reads it as 1.137"
    assert ExtraColumn("T", "comma", grouped=True).compare(["7", " 1.137"]) == told
    assert ExtraColumn("T", "comma").compare(["7", " 1.137"]) == ""  # it is not read at all
    told = "column 'T': '1,137' in row 1 is read as 1137, as in training; --decimal comma reads it as 1.137"
    assert ExtraColumn("T", "point", grouped=True).compare(["1,137"]) == told
    assert ExtraColumn("T", "point").compare(["1.137", "7"]) == ""


def test_missing_values_are_those_of_training():
    assert read(ExtraColumn("T", "auto", ["cold"]))[5:] == ["missing", "missing", None, "missing"]
    assert read(ExtraColumn("T", "auto", ["", "cold"]))[5:] == [None, "missing", None, "missing"]


@pytest.mark.parametrize(
    "column",
    [
        ExtraColumn("T"),
        ExtraColumn("T", "comma"),
        ExtraColumn("T", "comma", grouped=True),
        ExtraColumn("T", "auto", ("cold",)),
    ],
)
def test_a_column_is_its_name_and_keeps_its_reading(column):
    assert column == "T"
    assert {"T": 1}[column] == 1
    for again in (ExtraColumn.from_json(column.as_json()), pickle.loads(pickle.dumps(column)), copy.deepcopy(column)):
        assert (again, vars(again)) == (column, vars(column))


@pytest.mark.parametrize(
    "content",
    [
        7,
        None,
        {},
        {"name": "T", "decimal": "dot"},
        {"name": 1, "decimal": "auto"},
        {"name": "T", "decimal": "auto", "missing": [1]},
        {"name": "T", "decimal": "comma", "missing": None, "grouped": 1},
    ],
)
def test_other_content_is_refused(content):
    with pytest.raises(ValueError, match="is no column"):
        ExtraColumn.from_json(content)


@pytest.mark.parametrize("text", ["~25", "≈25", " ~ 25 "])
def test_approximate_numbers_are_read_as_in_training(text):
    for column in (ExtraColumn("T"), ExtraColumn("T", "point"), ExtraColumn("T", "comma")):
        assert column.read(text) == 25.0
    assert ExtraColumn("T", "comma").read("~0.5") is None
    assert ExtraColumn("T").read("~cold") is None
