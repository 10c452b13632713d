import numpy as np
import pytest

from pyg_samsa.chem import molecule_vectors as module
from pyg_samsa.chem.molecule_vectors import molecule_vectors
from pyg_samsa.errors import ConfigError, SmilesError


def make_counter():
    return count


def count(molecule):
    return np.array([molecule.GetNumAtoms(), molecule.GetNumBonds()])


@pytest.mark.parametrize("workers", [1, 2])
def test_rows_keep_the_order_of_the_molecules(workers):
    molecules = ["C" * number for number in range(1, 131)]
    found = molecule_vectors(molecules, make_counter, 2, dtype=np.int64, workers=workers, worthwhile=1, progress=False)
    assert found.tolist() == [[number, number - 1] for number in range(1, 131)]


def test_no_molecules_and_blanks_around_them():
    assert molecule_vectors([], make_counter, 2, progress=False).shape == (0, 2)
    assert molecule_vectors([" CC "], make_counter, 2, progress=False).tolist() == [[2.0, 1.0]]


def test_the_row_of_an_unreadable_molecule_is_named():
    with pytest.raises(SmilesError, match="row 66: RDKit cannot read"):
        molecule_vectors(["C"] * 65 + ["C("], make_counter, 2, progress=False)
    with pytest.raises(ConfigError, match="workers"):
        molecule_vectors(["C"], make_counter, 2, workers=0, progress=False)


def test_progress_is_shown_unless_it_is_turned_off(monkeypatch):
    shown, bar = [], module.progress_bar
    monkeypatch.setattr(
        module, "progress_bar", lambda *given, enabled: shown.append(enabled) or bar(*given, enabled=False)
    )
    molecule_vectors(["C"], make_counter, 2)
    molecule_vectors(["C"], make_counter, 2, progress=False)
    assert shown == [True, False]
