"""When Triton kernels run. Without a GPU their tests run in a new process, in Triton's interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pyg_samsa.errors import ConfigError
from pyg_samsa.functional import ATTENTION_BACKENDS, RaggedIndex, sampled_attention
from pyg_samsa.functional.triton_support import (
    HAS_TRITON,
    MAX_CHANNELS,
    is_interpreted,
    jit,
    refuse_triton,
    rowwise,
    runs_in_triton,
    tile,
)

FILES = [str(Path(__file__).with_name(f"test_triton_{name}.py")) for name in ("attention", "relaxation")]


@pytest.mark.skipif(not HAS_TRITON, reason="the package triton is not installed")
@pytest.mark.skipif(is_interpreted() or torch.cuda.is_available(), reason="kernels run in this process")
def test_in_the_interpreter():
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYG_SAMSA_TRITON": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "kernel", *FILES]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "skipped" not in done.stdout


@pytest.mark.parametrize(
    ("dtype", "channels", "size", "options"),
    [
        (torch.float32, 3, 32, {"CHANNELS": 16, "PRECISION": "ieee"}),
        (torch.float32, 100, 16, {"CHANNELS": 128, "PRECISION": "ieee"}),
        (torch.float16, 64, 64, {"CHANNELS": 64, "PRECISION": "tf32"}),
        (torch.bfloat16, 65, 32, {"CHANNELS": 128, "PRECISION": "tf32"}),
    ],
    ids=str,
)
def test_tiles_are_powers_of_two_that_hold_the_channels(dtype, channels, size, options):
    assert tile(torch.zeros(1, channels, dtype=dtype)) == (size, options)


def test_rowwise_copies_only_what_is_not():
    x = torch.randn(4, 6)
    assert rowwise(x[:, :3]).data_ptr() == x.data_ptr()
    turned = rowwise(x.t())
    assert turned.stride(-1) == 1
    assert torch.equal(turned, x.t())


def test_jit_without_triton_is_the_function(monkeypatch):
    monkeypatch.setattr("pyg_samsa.functional.triton_support.HAS_TRITON", False)
    assert jit(len) is len


def test_an_old_gpu_and_a_compiler_are_refused(monkeypatch):
    monkeypatch.setattr("pyg_samsa.functional.triton_support.HAS_TRITON", True)
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr("torch.compiler.is_compiling", lambda: True)
    assert "torch.compile" in refuse_triton(torch.zeros(1, 8))


def test_the_switch_turns_the_kernels_on(monkeypatch):
    monkeypatch.setattr("pyg_samsa.functional.triton_support.HAS_TRITON", True)
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setenv("PYG_SAMSA_TRITON", "1")
    assert runs_in_triton(torch.zeros(2, 8), torch.zeros(2))
    assert not runs_in_triton(torch.zeros(2, 8), torch.zeros(2).double())
    monkeypatch.setenv("PYG_SAMSA_TRITON", "0")
    assert not runs_in_triton(torch.zeros(2, 8), torch.zeros(2))


def test_refusals_name_the_cause(monkeypatch):
    refuse = ATTENTION_BACKENDS["triton"].refuse
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert "CUDA" in refuse(torch.empty(1, 1, 8), 0.0)
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr("pyg_samsa.functional.triton_support.HAS_TRITON", False)
    assert "pip install triton" in refuse(torch.empty(1, 1, 8), 0.0)
    monkeypatch.setattr("pyg_samsa.functional.triton_support.HAS_TRITON", True)
    assert refuse(torch.empty(1, 1, 8), 0.0) is None
    assert "dropout" in refuse(torch.empty(1, 1, 8), 0.1)
    assert "float64" in refuse(torch.empty(1, 1, 8, dtype=torch.float64), 0.0)
    assert "bfloat16" in refuse(torch.empty(1, 1, 8, dtype=torch.bfloat16), 0.0)
    assert str(MAX_CHANNELS) in refuse(torch.empty(1, 1, MAX_CHANNELS + 1), 0.0)
    monkeypatch.delenv("PYG_SAMSA_TRITON", raising=False)
    assert refuse_triton(torch.empty(1, 8)) is None
    assert not runs_in_triton(torch.empty(1, 8), torch.empty(1))


def test_one_that_was_asked_for_and_cannot_run_is_an_error(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    index = RaggedIndex(torch.tensor([0, 2]))
    with pytest.raises(ConfigError, match="attn_backend"):
        sampled_attention(
            torch.randn(2, 1, 8), torch.randn(1, 1, 3, 8), torch.randn(1, 1, 3, 8), index, backend="triton"
        )
