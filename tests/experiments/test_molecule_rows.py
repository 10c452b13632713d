import dataclasses

import pytest

from pyg_samsa.errors import ConfigError
from pyg_samsa.experiments.molecule_rows import smiles_of


@pytest.mark.parametrize("change", [{"level": "node"}, {"pairs": True}])
def test_only_whole_molecules_have_smiles(change, small):
    molecules = small.dataset()
    assert smiles_of(molecules, "x") == small.smiles
    molecules.task = dataclasses.replace(molecules.task, **change)
    with pytest.raises(ConfigError, match="whole molecules"):
        smiles_of(molecules, "x")
