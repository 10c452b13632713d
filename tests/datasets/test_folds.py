import pytest
import torch

from pyg_samsa.chem.molecule_names import scaffold_of
from pyg_samsa.datasets.folds import random_folds, scaffold_folds
from pyg_samsa.errors import ConfigError

SMILES = ["C" * n + end for n in range(1, 11) for end in ("O", "N", "c1ccccc1", "C1CC1")]


def test_every_row_is_in_one_fold_of_nearly_the_same_size():
    y = torch.arange(40.0)[:, None]
    folds = random_folds(SMILES, y, 4)
    assert torch.cat(folds).sort().values.tolist() == list(range(40))
    assert {len(fold) for fold in folds} <= {9, 10, 11}
    # Stratified: every fold has low and high values.
    assert all(y[fold].min() < 8 and y[fold].max() > 31 for fold in folds)
    again = random_folds(SMILES, y, 4)
    assert all(torch.equal(one, two) for one, two in zip(folds, again, strict=True))
    other = random_folds(SMILES, y, 4, seed=1)
    assert any(not torch.equal(one, two) for one, two in zip(folds, other, strict=True))


def test_rows_of_a_molecule_stay_together():
    folds = random_folds([*SMILES, *SMILES], torch.zeros(80, 1), 5)
    for fold in folds:
        assert {SMILES[row % 40] for row in fold.tolist() if row < 40} == {
            SMILES[row % 40] for row in fold.tolist() if row >= 40
        }


def test_rare_labels_are_spread_over_the_folds():
    y = torch.zeros(40, 1)
    y[::8] = 1
    folds = random_folds(SMILES, y, 5, classes=True)
    assert [int(y[fold].sum()) for fold in folds] == [1] * 5


def test_a_scaffold_is_in_one_fold():
    texts = [*SMILES, *(f"C1CCCCC1{'C' * n}" for n in range(5)), "c1ccncc1", "C1CCCC1"]
    folds = scaffold_folds(texts, 3)
    assert torch.cat(folds).sort().values.tolist() == list(range(len(texts)))
    scaffolds = [{scaffold_of(texts[row]) for row in fold.tolist()} for fold in folds]
    assert not any(one & two for place, one in enumerate(scaffolds) for two in scaffolds[:place])
    assert sorted(map(len, folds)) == [12, 15, 20]  # chains; two rings of ten; then the smallest fold each time


def test_more_folds_than_molecules_are_refused():
    with pytest.raises(ConfigError, match="at most 2, the number of molecules outside the test split"):
        random_folds(["C", "CC", "C"], torch.zeros(3, 1), 3)
    with pytest.raises(ConfigError, match="at most 1, the number of scaffolds"):
        scaffold_folds(["C", "CC", "CCC"], 2)
    with pytest.raises(ConfigError, match="folds"):
        scaffold_folds(["C", "CC", "CCC"], 1)
