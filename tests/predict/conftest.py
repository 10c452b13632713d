import pytest
import torch

from pyg_samsa.chem import ATOM_CARDINALITIES, BOND_CARDINALITIES
from pyg_samsa.nn import SAMSA


@pytest.fixture
def molecule_network():
    """Makes a small network for molecules whose blocks do something."""

    def make(out_channels=1, **options):
        torch.manual_seed(0)
        settings = {"channels": 16, "num_layers": 2, "heads": 2, "num_samples": 8, **options}
        model = SAMSA.from_options(
            ATOM_CARDINALITIES, out_channels, edge_channels=BOND_CARDINALITIES, **settings
        ).eval()
        with torch.no_grad():
            model.encoder.alpha += 0.5
        return model

    return make
