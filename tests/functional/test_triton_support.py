"""When Triton kernels run. Without a GPU their tests run in a new process, in Triton's interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch._subclasses import FakeTensorMode

from pyg_samsa.errors import ConfigError
from pyg_samsa.functional import ATTENTION_BACKENDS, RaggedIndex, sampled_attention
from pyg_samsa.functional.attention import _first
from pyg_samsa.functional.triton_support import (
    HAS_TRITON,
    MAX_CHANNELS,
    _refuse_gpu,
    is_interpreted,
    jit,
    largest_error,
    refuse_triton,
    rowwise,
    runs_in_triton,
    tile,
)

PAIRS = [("attention", "relaxation"), ("ranking", "relative")]  # about as long as each other


@pytest.mark.skipif(sys.platform != "linux", reason="triton is published for Linux only")
@pytest.mark.skipif(is_interpreted() or torch.cuda.is_available(), reason="kernels run in this process")
@pytest.mark.parametrize("names", PAIRS, ids="-".join)
def test_in_the_interpreter(names):
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYG_SAMSA_TRITON": "1", "OMP_NUM_THREADS": "1"}
    paths = [str(Path(__file__).with_name(f"test_triton_{name}.py")) for name in names]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *paths]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "skipped" not in done.stdout


@pytest.mark.parametrize(
    ("channels", "exact", "size", "options"),
    [
        (3, True, 32, {"CHANNELS": 16, "PRECISION": "ieee", "num_warps": 4}),
        (100, True, 16, {"CHANNELS": 128, "PRECISION": "ieee", "num_warps": 8}),
        (32, False, 64, {"CHANNELS": 32, "PRECISION": "tf32", "num_warps": 4}),
        (65, False, 32, {"CHANNELS": 128, "PRECISION": "tf32", "num_warps": 8}),
        (256, True, 16, {"CHANNELS": 256, "PRECISION": "ieee", "num_warps": 8}),
    ],
    ids=str,
)
def test_tiles_are_powers_of_two_that_hold_the_channels(channels, exact, size, options):
    assert tile(channels, exact) == (size, options)


def test_rowwise_copies_only_what_is_not():
    x = torch.randn(4, 6)
    assert rowwise(x[:, :3]).data_ptr() == x.data_ptr()
    turned = rowwise(x.t())
    assert turned.stride(-1) == 1
    assert torch.equal(turned, x.t())


def test_jit_without_triton_is_the_function(monkeypatch):
    monkeypatch.setattr("pyg_samsa.functional.triton_support.HAS_TRITON", False)
    assert jit(len) is len


@pytest.fixture
def verdicts(monkeypatch):
    """No kernel has been tested yet, and none is after the test."""
    monkeypatch.setattr("pyg_samsa.functional.triton_support._verdicts", {})


@pytest.fixture
def on_cuda(monkeypatch, verdicts):
    """Makes queries that look as if they were on a GPU, whose self-tests find an error."""

    def make(error, dtype=torch.float32, capability=(9, 0)):
        runs = []

        def self_test(device, dtype, channels):
            runs.append((dtype, channels))
            if isinstance(error, Exception):
                raise error
            return error

        monkeypatch.setattr("pyg_samsa.functional.triton_support.HAS_TRITON", True)
        monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: capability)
        monkeypatch.setattr(
            "pyg_samsa.functional.triton_support.import_module", lambda name: SimpleNamespace(self_test=self_test)
        )
        with FakeTensorMode():
            return torch.empty(0, 1, 16, dtype=dtype, device="cuda"), runs

    return make


def test_on_a_gpu_auto_takes_a_kernel_that_passed_its_self_test(on_cuda, monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    query, runs = on_cuda(1e-7)
    assert _first(query, 0.0) == "triton"
    assert runs_in_triton("attention", query)
    assert runs == [(torch.float32, 16)]
    assert _first(query, 0.1) == "sdpa"
    assert runs_in_triton("ranking", query)
    assert len(runs) == 2
    monkeypatch.setenv("PYG_SAMSA_TRITON", "0")
    assert not runs_in_triton("attention", query)
    assert _first(query, 0.0) == "sdpa"
    # It still runs on request.
    assert ATTENTION_BACKENDS["triton"].refuse(query, 0.0) is None


@pytest.mark.parametrize(
    ("error", "words"),
    [(1e-3, "wrong by 1.0e-03"), (float("nan"), "wrong by nan"), (RuntimeError("no"), "RuntimeError")],
)
def test_a_kernel_that_fails_its_self_test_is_not_used_and_one_warning_says_so(on_cuda, error, words, monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    query, runs = on_cuda(error)
    with pytest.warns(UserWarning, match=f"attention is not used: its self-test .*{words}"):
        assert _first(query, 0.0) == "sdpa"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not runs_in_triton("attention", query)
    assert len(runs) == 1
    assert words in ATTENTION_BACKENDS["triton"].refuse(query, 0.0)


def test_products_in_tf32_may_err_more(on_cuda, monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    query, runs = on_cuda(1e-3)
    torch.set_float32_matmul_precision("high")
    try:
        assert runs_in_triton("attention", query)
    finally:
        torch.set_float32_matmul_precision("highest")
    with pytest.warns(UserWarning, match="wrong"):
        assert not runs_in_triton("attention", query)
    assert len(runs) == 2


def test_in_half_precision_auto_takes_no_kernel_of_ours(on_cuda, monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    query, _ = on_cuda(1e-7, torch.bfloat16)
    assert _first(query, 0.0) != "triton"
    assert ATTENTION_BACKENDS["triton"].refuse(query, 0.0) is None


def test_an_old_gpu_is_refused(on_cuda, monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    query, runs = on_cuda(0.0, capability=(7, 5))
    assert "Ampere" in refuse_triton(query)
    assert not runs


def test_a_compiler_takes_the_self_test_for_a_constant(monkeypatch, verdicts):
    """It runs once, with tensors that hold numbers, while the compiler traces."""
    seen = []

    def self_test(device, dtype, channels):
        seen.append((torch.ones(2).sum().item(), torch.is_autocast_enabled("cpu"), torch.is_inference_mode_enabled()))
        return 0.0

    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(
        "pyg_samsa.functional.triton_support.import_module", lambda name: SimpleNamespace(self_test=self_test)
    )
    device = torch.device("cpu")

    @torch.compile(backend="eager", fullgraph=True)
    def run(x):
        return x + 1 if _refuse_gpu("attention", device, torch.float32, 8) is None else x - 1

    with torch.inference_mode(), torch.autocast("cpu"):
        assert run(torch.zeros(2)).tolist() == [1.0, 1.0]
        assert run(torch.zeros(2)).tolist() == [1.0, 1.0]
    assert seen == [(2.0, False, False)]


def test_the_switch_turns_interpreted_kernels_on(monkeypatch):
    monkeypatch.setattr("pyg_samsa.functional.triton_support.HAS_TRITON", True)
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setenv("PYG_SAMSA_TRITON", "1")
    assert runs_in_triton("relaxation", torch.zeros(2, 8))
    assert not runs_in_triton("relaxation", torch.zeros(2, 8).double())
    monkeypatch.setenv("PYG_SAMSA_TRITON", "0")
    assert not runs_in_triton("relaxation", torch.zeros(2, 8))


def test_an_error_is_relative_to_large_numbers_and_counts_what_is_missing():
    one, ten = torch.tensor([1.0]), torch.tensor([10.0])
    assert largest_error([one, ten + 1], [one, ten]) == pytest.approx(0.1)
    assert largest_error([one / 0 * 0], [one]) == float("inf")


@pytest.fixture
def hopper(monkeypatch):
    """Lets Triton analyse kernels as for a GPU of compute capability 9.0."""
    triton = pytest.importorskip("triton")
    target = triton.backends.compiler.GPUTarget("cuda", 90, 32)
    driver = SimpleNamespace(get_current_target=lambda: target, get_current_device=lambda: 0)
    monkeypatch.setattr(triton.runtime.driver, "_active", driver)


def losses():
    """Functions of tensors without data that launch the kernels, and the tensors that each launch writes."""
    from pyg_samsa.functional.triton_attention import _attention
    from pyg_samsa.functional.triton_ranking import _ranking
    from pyg_samsa.functional.triton_relative import _relative
    from pyg_samsa.functional.triton_relaxation import _relax

    ptr, query, pairs = torch.zeros(4, dtype=torch.long), torch.empty(10, 2, 8), torch.empty(3, 2, 5, 8)
    scores, gates = torch.empty(3, 2, 5), torch.empty(10, 4, 5)
    yield (
        lambda query, key, value, ptr: _attention(query, key, value, ptr, True)[0].sum(),
        (query, pairs, pairs, ptr),
        [{"out", "lse"}, {"grad_query", "delta"}, {"grad_key", "grad_value"}],
    )
    yield (
        lambda query, key, value, leak, gates, ptr: _relative(query, key, value, leak, ptr, gates, None, 1.0, True)[
            0
        ].sum(),
        (query, pairs, pairs, torch.empty(3, 2), gates, ptr),
        [{"out", "mass"}, {"grad_query", "grad_gates", "delta"}, {"grad_key", "grad_value", "grad_leak"}],
    )
    yield (
        lambda x, y, x_scores, y_scores: _relax(x, y, x_scores, y_scores, 1.0, True).sum(),
        (pairs, pairs, scores, scores),
        [{"out"}, {"grad_chosen", "up"}, {"grad_rivals", "down"}],
    )
    yield (
        lambda x, ptr: x.sum() + _ranking(x[..., 0].detach(), x[..., 1].detach(), ptr, 5).sum(),
        (query, ptr),
        [{"out"}],
    )


@pytest.mark.skipif(is_interpreted() or torch.cuda.is_available(), reason="needs kernels that are not run")
def test_a_compiler_sees_the_kernels_and_that_they_write_their_results_alone(hopper):
    """What inductor gets: the operators are replaced by the launches of their kernels."""
    from torch._functorch.aot_autograd import aot_export_module

    class Loss(torch.nn.Module):
        def __init__(self, run):
            super().__init__()
            self.run = run

        def forward(self, *inputs):
            return (self.run(*inputs),)

    with FakeTensorMode():
        for run, inputs, expected in losses():
            leaves = tuple(x.clone().requires_grad_() if x.is_floating_point() else x for x in inputs)
            graph, _ = aot_export_module(Loss(run), leaves, trace_joint=True, output_loss_index=0)
            launches = [node for node in graph.graph.nodes if "triton_kernel" in str(node.target)]
            written = [set(node.kwargs["tensors_to_clone"]) for node in launches]
            # The analysis of PyTorch also takes the offsets for written in kernels that search in them.
            assert [names - {"ptr"} for names in written] == expected


@pytest.mark.skipif(not HAS_TRITON or is_interpreted(), reason="needs compiled kernels")
@pytest.mark.parametrize(
    ("module", "operator", "kernels"),
    [
        ("attention", "attention", ["_forward"]),
        ("attention", "attention_backward", ["_backward_query", "_backward_pairs"]),
        ("relaxation", "relax", ["_soft"]),
        ("relaxation", "relax_backward", ["_backward_chosen", "_backward_rivals"]),
        ("ranking", "ranking", ["_rank"]),
        ("relative", "relative", ["_forward"]),
        ("relative", "relative_backward", ["_backward_query", "_backward_pairs"]),
    ],
)
def test_the_cache_of_compiled_code_knows_the_kernels_of_an_operator(module, operator, kernels):
    """PyTorch finds them by the text of the operator; otherwise a changed kernel would not be compiled again."""
    library = pytest.importorskip("torch._library.triton")
    import_module(f"pyg_samsa.functional.triton_{module}")
    found = library.get_triton_kernels_for_op(f"pyg_samsa::{operator}")
    assert sorted(kernel.__name__ for kernel in found) == sorted(kernels)


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
    assert not runs_in_triton("attention", torch.empty(1, 8))


def test_one_that_was_asked_for_and_cannot_run_is_an_error(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    index = RaggedIndex(torch.tensor([0, 2]))
    with pytest.raises(ConfigError, match="attn_backend"):
        sampled_attention(
            torch.randn(2, 1, 8), torch.randn(1, 1, 3, 8), torch.randn(1, 1, 3, 8), index, backend="triton"
        )
