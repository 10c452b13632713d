import hashlib

import pytest

from pyg_samsa.chem.molecule_names import canonical_smiles, parse_ranked, rank_names, scaffold_of


def test_ranks_are_hashes_of_seed_and_name():
    names = ["CCO", "", "é", *(f"{'C' * n}" for n in range(1, 300))]  # some hashes end with a zero
    ranks = rank_names(names, 7)
    expected = [hashlib.sha256(f"7:{name}".encode()).digest() for name in names]
    assert [bytes(rank).ljust(32, b"\0") for rank in ranks] == expected
    assert sorted(names, key=dict(zip(names, expected, strict=True)).get) == [names[place] for place in ranks.argsort()]
    assert any(rank.endswith(b"\0") for rank in expected)


def test_large_molecules_keep_their_text():
    long = "C" * 1001
    assert canonical_smiles([long, "OCC"]) == [long, "CCO"]
    assert scaffold_of(f"C1CC1{long}") == f"C1CC1{long}"
    assert scaffold_of("OC1CC1") == "C1CC1"


def test_mirror_images_have_one_scaffold():
    first, second = (scaffold_of(f"OC1CN[{turn}H](c2ccccc2)C1") for turn in ("C@", "C@@"))
    assert first == second
    assert "@" not in first


@pytest.mark.parametrize(
    ("split", "alike"), [("random", [(0, 2)]), ("scaffold", [(0, 1), (0, 2), (1, 2)]), ("column", None)]
)
def test_molecules_are_ranked_by_what_they_are_split_by(split, alike):
    parsed, ranks, names = parse_ranked([" OCC", "CC", "C(C)O", "nothing"], max_atoms=None, split=split, seed=0)
    assert (parsed.kept, parsed.smiles) == ([0, 1, 2], ["OCC", "CC", "C(C)O"])
    assert (names[0] == names[2], names[0] == names[1]) == (True, False)
    pairs = [(one, other) for one in range(len(ranks)) for other in range(one) if ranks[one] == ranks[other]]
    assert (len(ranks), sorted((other, one) for one, other in pairs)) == ((3, alike) if alike else (0, []))
