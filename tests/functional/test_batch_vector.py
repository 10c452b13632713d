from __future__ import annotations

import pytest
import torch

from pyg_samsa.errors import ShapeError
from pyg_samsa.functional import batch_to_ptr
from pyg_samsa.functional.batch_vector import inverse_permutation


@pytest.mark.parametrize(
    "batch", [torch.tensor([-1, 0]), torch.tensor([0.0]), torch.tensor([[0]]), torch.tensor([True])]
)
def test_bad_batch(batch):
    with pytest.raises(ShapeError, match="batch"):
        batch_to_ptr(batch)


def test_a_permutation_and_its_inverse_change_nothing():
    perm = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    assert perm[inverse_permutation(perm)].tolist() == inverse_permutation(perm)[perm].tolist() == list(range(20))
