import math

import pytest
import torch

pytest.importorskip("rdkit")

from rdkit import Chem

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.explain import TokenImportance
from pyg_samsa.explain.truth import Truth, ranking, substructure_truth


def importance(nodes, bonds):
    mol = Chem.MolFromSmiles("CCSSC")
    edges = [
        pair
        for bond in mol.GetBonds()
        for pair in ((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()), (bond.GetEndAtomIdx(), bond.GetBeginAtomIdx()))
    ]
    halves = [half for bond in bonds for half in (0.75 * bond, 0.25 * bond)]
    return TokenImportance(
        "sampled", 0, torch.tensor(nodes), torch.tensor(halves), torch.tensor(edges).T, torch.zeros(1)
    )


TRUTH = substructure_truth(Chem.MolFromSmiles("CCSSC"), "SS")


def test_every_match_counts_and_rings_are_closed():
    truth = substructure_truth(Chem.MolFromSmiles("c1ccccc1Cc1ccccc1"), "c1ccccc1")
    assert truth.atoms.sum() == 12
    assert truth.bonds.sum() == 12
    assert not substructure_truth(Chem.MolFromSmiles("CCO"), "S").atoms.any()
    with pytest.raises(ConfigError, match="smarts"):
        substructure_truth(Chem.MolFromSmiles("CCO"), "[[")


def test_ranking_by_hand():
    best = ranking(importance([0.0, 0.1, 0.9, 0.8, 0.2], [0.1, 0.2, 0.7, 0.3]), TRUTH)
    assert best == (1.0, 1.0, 1.0)
    worst = ranking(importance([0.9, 0.8, 0.1, 0.0, 0.7], [0.9, 0.8, 0.1, 0.7]), TRUTH)
    assert worst == (0.0, 0.0, 0.0)
    # Of 2 x 3 pairs of atoms one is in the wrong order.
    assert ranking(importance([0.0, 0.5, 0.4, 0.8, 0.2], [0.0, 0.0, 1.0, 0.0]), TRUTH).atoms == pytest.approx(5 / 6)


def test_size_without_sign():
    found = importance([0.0, 0.1, -0.9, -0.8, 0.2], [0.1, 0.2, -0.7, 0.3])
    assert ranking(found, TRUTH).both == 0.0
    assert ranking(found, TRUTH, absolute=True).both == 1.0


def test_no_ranking_where_all_or_none_is_responsible():
    none = Truth(torch.zeros(5, dtype=torch.bool), TRUTH.bonds)
    found = ranking(importance([0.0] * 5, [0.1, 0.2, 0.7, 0.3]), none)
    assert math.isnan(found.atoms)
    assert found.bonds == 1.0
    with pytest.raises(ShapeError, match="truth"):
        ranking(importance([0.0] * 5, [0.1] * 4), Truth(torch.zeros(4, dtype=torch.bool), TRUTH.bonds))
