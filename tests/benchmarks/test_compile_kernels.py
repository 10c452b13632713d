"""All Triton kernels compile for a GPU that is not there."""

import sys

import pytest

from pyg_samsa.functional.triton_support import is_interpreted

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="triton is published for Linux only"),
    pytest.mark.skipif(is_interpreted(), reason="interpreted kernels are not compiled"),
]
SETTINGS = ("scores", "attention, float32", "relaxation, float32", "SFT with encodings, float32")


def test_kernels_compile_and_fit(tmp_path, monkeypatch):
    from benchmarks.compile_kernels import compile_all

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    rows = list(compile_all(90, samples=32, only=SETTINGS))
    assert [row.kernel for row in rows] == [
        "_rank",
        *("_forward", "_backward_query", "_backward_pairs"),
        *("_soft", "_backward_chosen", "_backward_rivals"),
        *("_forward", "_backward_query", "_backward_pairs"),
    ]
    # Versions of Triton differ by a few bytes.
    assert max(row.spilled for row in rows) <= 32
    # The smallest limit of the GPUs that the kernels run on (compute capability 8.6 and 8.9).
    assert max(row.shared for row in rows) <= 99 * 1024


def test_settings_leave_the_precision_and_the_launches_as_they_were(monkeypatch):
    import torch

    from benchmarks.compile_kernels import recorded_launches, settings
    from pyg_samsa.functional import triton_attention

    before = triton_attention.wrap_triton
    with recorded_launches() as launches:
        settings()["attention, TF32"]()
    assert torch.get_float32_matmul_precision() == "highest"
    assert triton_attention.wrap_triton is before
    assert [launch.constants["PRECISION"] for launch in launches] == ["tf32"] * 3
