import numpy as np
import pytest

from pyg_samsa.chem import parsing
from pyg_samsa.chem.descriptors import compute_descriptors, descriptor_function
from pyg_samsa.chem.ogb_features import smiles_to_table
from pyg_samsa.chem.parsing import in_chunks, join_parsed, parse_molecules, parse_stream
from pyg_samsa.errors import ConfigError

GOOD = ["CCO", "c1ccccc1", "[Na+].[Cl-]", "[2H]C", "F/C=C/F"]
BAD = ["C1CC", "", None, 3.5, "C(C", "\ud800", "*" * 0, "Xx"]


def test_good_and_bad_ones_side_by_side():
    mixed = [item for pair in zip(GOOD, BAD, strict=False) for item in pair] + BAD[len(GOOD) :]
    parsed = parse_molecules(mixed)
    whole = smiles_to_table(GOOD)
    for name in whole._fields:
        np.testing.assert_array_equal(getattr(parsed.table, name), getattr(whole, name))
    assert (parsed.kept, parsed.smiles) == ([0, 2, 4, 6, 8], GOOD)
    assert [refusal.position for refusal in parsed.refused] == [1, 3, 5, 7, 9, 10, 11, 12]
    assert all(refusal.reason and refusal.kind == "unreadable" for refusal in parsed.refused)


def test_a_molecule_whose_graph_fails_leaves_the_others_alone(monkeypatch):
    real = parsing.graph_arrays

    def graph_arrays(mol):
        if mol.GetNumAtoms() == 2:
            raise RuntimeError("no kekulisation")
        return real(mol)

    monkeypatch.setattr(parsing, "graph_arrays", graph_arrays)
    parsed = parse_molecules(["C", "CC", "CCC"])
    assert (parsed.kept, parsed.smiles) == ([0, 2], ["C", "CCC"])
    assert [(one.position, one.reason) for one in parsed.refused] == [(1, "no graph (RuntimeError)")]


def test_too_large():
    parsed = parse_molecules(["CCC", "CCCC"], max_atoms=3)
    assert parsed.kept == [0]
    assert "4 atoms" in parsed.refused[0].reason
    assert parsed.refused[0].kind == "too large"


@pytest.mark.parametrize("workers", [1, 2])
def test_streams(workers):
    items = ["C", "x", "CC", "CCC", "y"] * 3
    parts = list(parse_stream(in_chunks(items, 4), workers=workers))
    assert [item for chunk, _ in parts for item in chunk] == items
    joined, whole = join_parsed([parsed for _, parsed in parts]), parse_molecules(items)
    assert (joined.kept, joined.refused, joined.smiles) == (whole.kept, whole.refused, ["C", "CC", "CCC"] * 3)
    np.testing.assert_array_equal(joined.table.x, whole.table.x)


def test_a_stream_is_standardised_as_asked():
    items = ["CC(=O)[O-].[Na+]", "C"]
    for steps, expected in ((["fragment"], ["CC(=O)[O-]", "C"]), ([], items)):
        parsed = join_parsed([part for _, part in parse_stream([items], standardize=steps)])
        assert parsed.smiles == expected


def test_only_a_little_is_read_ahead():
    taken = []

    def chunks():
        for number in range(100):
            taken.append(number)
            yield ["C"]

    for workers, ahead in ((1, 1), (2, 6)):
        taken.clear()
        stream = parse_stream(chunks(), workers=workers)
        next(stream)
        assert len(taken) <= ahead


def test_workers_are_checked():
    with pytest.raises(ConfigError):
        next(parse_stream([["C"]], workers=0))


@pytest.mark.parametrize("workers", [1, 2])
def test_descriptors_are_those_of_the_molecules_that_can_be_read(workers):
    names, chunks = ["maccs", "rdkit2d"], [["CCO", "C("], ["?"], [" c1ccccc1 ", "C"]]
    parts = [parsed for _, parsed in parse_stream(chunks, workers=workers, descriptors=names)]
    assert [sorted(part.descriptors) for part in parts] == [names, [], names]
    joined = join_parsed(parts)
    for name in names:
        expected = compute_descriptors(["CCO", "c1ccccc1", "C"], [name], progress=False)
        np.testing.assert_array_equal(joined.descriptors[name], expected)
    assert join_parsed([parts[1]]).descriptors == {}


def test_molecules_too_large_for_descriptors_are_refused_only_where_descriptors_are_asked_for(monkeypatch):
    monkeypatch.setattr(parsing, "MAX_ATOMS", 5)
    describe = {"maccs": descriptor_function(["maccs"])}
    parsed = parsing.parse_molecules(["CCO", "C" * 6], describe=describe)
    assert parsed.kept == [0]
    assert parsed.refused[0].reason == "6 atoms, more than 5, for which descriptors are computed"
    assert parsed.refused[0].kind == "too large"
    assert parsing.parse_molecules(["CCO", "C" * 6]).kept == [0, 1]
