import pytest

from pyg_samsa.chem.ogb_features import ATOM_CARDINALITIES, BOND_CARDINALITIES
from pyg_samsa.datasets.features import MOLECULES, Features


def test_features_of_molecules_are_those_of_ogb():
    assert (MOLECULES.in_channels, MOLECULES.edge_channels) == (ATOM_CARDINALITIES, BOND_CARDINALITIES)
    assert MOLECULES.num_dims == 0


def test_features_cannot_be_changed():
    with pytest.raises(AttributeError):
        Features(3).in_channels = 4
