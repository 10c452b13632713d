import pytest
import torch

from pyg_samsa.errors import ShapeError
from pyg_samsa.functional import tower_batch


def test_documents_of_pairs_are_numbered_in_order():
    batch, document = torch.tensor([0, 0, 0, 1, 1, 2]), torch.tensor([0, 0, 1, 0, 1, 1])
    assert tower_batch(batch, document).tolist() == [0, 0, 1, 2, 3, 5]


def test_tower_batch_checks_its_arguments():
    with pytest.raises(ShapeError, match="document"):
        tower_batch(torch.zeros(2, dtype=torch.long), torch.zeros(3, dtype=torch.long))
