import pytest
import torch

from pyg_samsa.functional.autocast import at_least_float32, without_autocast


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_products_keep_the_type_of_their_inputs(half):
    x = torch.ones(2, 2)
    with torch.autocast("cpu", half):
        with without_autocast(x):
            assert (x @ x).dtype == torch.float32
        assert (x @ x).dtype == half


def test_devices_without_autocast_are_left_alone():
    x = torch.ones(2, 2, device="meta", dtype=torch.bfloat16)
    with without_autocast(x):
        assert (x @ x).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [(torch.float16, torch.float32), (torch.float32, torch.float32), (torch.float64, torch.float64)],
)
def test_half_precision_is_widened(dtype, expected):
    assert at_least_float32(torch.ones(2, dtype=dtype)).dtype == expected
