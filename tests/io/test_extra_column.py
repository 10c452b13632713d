import copy
import math
import pickle

import pytest

from pyg_samsa.io.extra_column import ExtraColumn

TEXTS = ["1.137", "1,137", "0,37", "25", "1.137,5", "n.d.", "cold", ">10", ""]


def read(column, texts=TEXTS, **options):
    found = [column.read(text, **options) for text in texts]
    return ["missing" if value is not None and math.isnan(value) else value for value in found]


def test_fields_are_read_as_in_training():
    comma, point = ExtraColumn("T", "comma"), ExtraColumn("T", "point")
    assert read(comma) == [1137.0, 1.137, 0.37, 25.0, 1137.5, "missing", None, None, "missing"]
    assert read(point) == [1.137, 1137.0, None, 25.0, None, "missing", None, None, "missing"]
    assert read(comma, delimiter=";") == read(comma)
    # Without a decimal sign in training, the field decides, as far as it can.
    assert read(ExtraColumn("T"))[:3] == [1.137, None, 0.37]
    assert read(ExtraColumn("T"), delimiter=";")[:3] == [1.137, 1.137, 0.37]


def test_the_decimal_sign_of_the_table_comes_first():
    comma = ExtraColumn("T", "comma")
    assert comma.read("0.37") is None
    assert read(comma, decimal="point") == read(ExtraColumn("T", "point"), decimal="point")
    assert comma.read("0.37", decimal="comma") == 0.37
    assert [comma.differs(text) for text in ("0.37", "1.137", "25", "0,37", "cold")] == [True, *[False] * 4]


def test_missing_values_are_those_of_training():
    assert read(ExtraColumn("T", "auto", ["cold"]))[5:] == [None, "missing", None, "missing"]


@pytest.mark.parametrize("column", [ExtraColumn("T"), ExtraColumn("T", "comma"), ExtraColumn("T", "auto", ("cold",))])
def test_a_column_is_its_name_and_keeps_its_reading(column):
    assert column == "T"
    assert {"T": 1}[column] == 1
    for again in (ExtraColumn.from_json(column.as_json()), pickle.loads(pickle.dumps(column)), copy.deepcopy(column)):
        assert (again, again.decimal, again.missing) == (column, column.decimal, column.missing)


@pytest.mark.parametrize(
    "content",
    [
        7,
        None,
        {},
        {"name": "T", "decimal": "dot"},
        {"name": 1, "decimal": "auto"},
        {"name": "T", "decimal": "auto", "missing": [1]},
    ],
)
def test_other_content_is_refused(content):
    with pytest.raises(ValueError, match="is no column"):
        ExtraColumn.from_json(content)
