import pytest
import torch


@pytest.fixture
def perturbed():
    """Makes an encoding of float64 with weights that are not those of the start."""

    def make(kind, **options):
        torch.manual_seed(0)
        encoding = kind(heads=2, **options).double()
        with torch.no_grad():
            for weight in encoding.parameters():
                weight += 0.2 * torch.randn_like(weight)
        return encoding

    return make
