import io

import pytest

from pyg_samsa.chem.molecule_changes import Change, ChangeCounts, describe_steps, write_changes

CHANGES = [Change(0, "C[NH3+].[Cl-]", "CN", ("fragment", "neutralize")), Change(3, "OCC.O", "CCO", ("fragment",))]


def test_counts():
    counts = ChangeCounts()
    counts.add(1199, CHANGES)
    counts.add(1, [])
    assert counts.text() == "standardised 2 of 1,200 molecules: 2 largest fragment, 1 neutralised"
    assert ChangeCounts.from_dict(counts.as_dict()) == counts
    both = counts + ChangeCounts(1, 1, {"tautomer": 1, "fragment": 1})
    assert both == ChangeCounts(1201, 3, {"fragment": 3, "neutralize": 1, "tautomer": 1})
    assert counts.steps == {"fragment": 2, "neutralize": 1}
    assert ChangeCounts(1).text() == "standardised 0 of 1 molecule"


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        {},
        {"molecules": 1, "changed": 1},
        {"molecules": 1, "changed": 1, "steps": {"unknown": 1}},
        {"molecules": 1, "changed": -1, "steps": {}},
        {"molecules": "1", "changed": 1, "steps": {}},
        {"molecules": 1, "changed": 1, "steps": {"fragment": None}},
    ],
)
def test_damaged_counts(content):
    with pytest.raises(ValueError, match="no counts"):
        ChangeCounts.from_dict(content)


def test_table():
    file = io.StringIO()
    write_changes(file, [*CHANGES, Change(4, "@,b", "C", ("drop_stereo",))], first=10)
    assert file.getvalue().splitlines() == [
        "10,C[NH3+].[Cl-],CN,fragment neutralize",
        "13,OCC.O,CCO,fragment",
        '14,"\'@,b",C,drop_stereo',
    ]


def test_words():
    assert describe_steps(["drop_stereo", "tautomer"]) == "stereo dropped, tautomer"
