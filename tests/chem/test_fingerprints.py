import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator

from pyg_samsa.chem.fingerprints import morgan_counts
from pyg_samsa.errors import ConfigError, SmilesError

MOLECULES = ["CCO", "c1ccccc1C(=O)N", "N[C@@H](C)C(=O)O", "[Na+].[Cl-]", "C"]


@pytest.mark.parametrize("radius", [0, 1, 3])
def test_counts_are_the_fragments_that_rdkit_lists(radius):
    # RDKit's own list of environments, folded by hand.
    found = morgan_counts(MOLECULES, radius=radius, size=512, progress=False)
    assert (found.shape, found.dtype) == ((5, 512), np.uint16)
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=radius)
    for text, row in zip(MOLECULES, found, strict=True):
        expected = np.zeros(512, int)
        for fragment, count in (
            generator.GetSparseCountFingerprint(Chem.MolFromSmiles(text)).GetNonzeroElements().items()
        ):
            expected[fragment % 512] += count
        assert row.tolist() == expected.tolist()


def test_the_smallest_radius_counts_atoms():
    counts = morgan_counts(MOLECULES, radius=0, progress=False)
    assert counts.sum(1).tolist() == [Chem.MolFromSmiles(text).GetNumAtoms() for text in MOLECULES]


def test_order_of_atoms_does_not_matter_and_hands_only_where_asked():
    left, right = morgan_counts(["OCC", "CCO"], progress=False)
    assert np.array_equal(left, right)
    hands = ["N[C@@H](C)C(=O)O", "N[C@H](C)C(=O)O"]
    assert np.array_equal(*morgan_counts(hands, progress=False))
    assert not np.array_equal(*morgan_counts(hands, chirality=True, progress=False))


def test_workers_give_the_same():
    many = MOLECULES * 40
    assert np.array_equal(
        morgan_counts(many, size=64, workers=2, progress=False),
        np.tile(morgan_counts(MOLECULES, size=64, progress=False), (40, 1)),
    )
    assert morgan_counts([], size=64, progress=False).shape == (0, 64)


def test_what_cannot_be_read_is_named():
    with pytest.raises(SmilesError, match="101"):
        morgan_counts(["C"] * 100 + ["C(", "C"], progress=False)
    for options in ({"radius": -1}, {"size": 0}, {"workers": 0}, {"size": 2.5}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            morgan_counts(["C"], **options)
