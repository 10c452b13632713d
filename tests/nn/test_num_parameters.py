"""The number of weights."""

from __future__ import annotations

import pytest
from torch.nn import Linear

from pyg_samsa.nn import num_parameters


def test_only_weights_that_are_trained_count():
    layer = Linear(2, 3)
    layer.bias.requires_grad_(False)
    assert num_parameters(layer) == 6
    assert num_parameters(layer, trainable=False) == 9
    with pytest.raises(TypeError):
        num_parameters(layer, False)
