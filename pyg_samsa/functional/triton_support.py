"""When Triton kernels run, how they are registered with PyTorch, and helpers that they share."""

from __future__ import annotations

import functools
import os
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from typing import Any, get_type_hints

import torch
from torch import Tensor

from pyg_samsa.typing import Float, Shaped

# Searching the import path takes longer than a small block, so it is done once. PyTorch builds for CUDA include Triton.
HAS_TRITON = find_spec("triton") is not None
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
MAX_CHANNELS = 256
SWITCH = "PYG_SAMSA_TRITON"
KERNELS = ("attention", "ranking", "relaxation", "relative")
"""What is computed by kernels: a word is the end of the name of a module."""
# Largest error of a self-test on numbers of about one; kernels whose tile products are in TF32 may err more.
TOLERANCES = {torch.float32: 2e-5, torch.float16: 1e-2, torch.bfloat16: 5e-2}
_TOLERANCE_OF_TF32 = 1e-2
_fake = threading.local()
_verdicts: dict[tuple[Any, ...], str | None] = {}


def is_interpreted() -> bool:
    """Whether kernels run in Triton's interpreter, on the CPU too: the environment variable TRITON_INTERPRET is 1.

    Example:
        >>> is_interpreted() == (os.environ.get("TRITON_INTERPRET") == "1")
        True
    """
    return os.environ.get("TRITON_INTERPRET") == "1"


def refuse_triton(values: Float[Tensor, "... C"], kernel: str = "attention") -> str | None:
    """Return why a kernel in Triton cannot run on these vectors and the cure, or None.

    Args:
        values: Vectors of C channels.
        kernel: One of `KERNELS`.

    Example:
        >>> "CUDA" in refuse_triton(torch.zeros(3, 8)) or is_interpreted()
        True

    Cost: O(1), and seconds in the first call on a GPU, see `self_test_failure`.
    """
    if values.device.type != "cuda" and not (values.device.type == "cpu" and is_interpreted()):
        return f"it needs a CUDA device, and the tokens are on {values.device.type}"
    if not HAS_TRITON:
        return "the package triton is not installed: pip install triton"
    if values.dtype not in DTYPES:
        return f"it needs at most single precision, and the vectors are {str(values.dtype).removeprefix('torch.')}"
    if is_interpreted() and values.dtype == torch.bfloat16:
        return "Triton's interpreter does not support bfloat16: unset TRITON_INTERPRET"
    if values.size(-1) > MAX_CHANNELS:
        return f"it needs vectors of at most {MAX_CHANNELS} channels, and these have {values.size(-1)}"
    return _refuse_gpu(kernel, values.device, values.dtype, values.size(-1)) if values.device.type == "cuda" else None


# A compiler takes the answer for a constant: it runs this while it traces, and does not trace it.
@torch.compiler.assume_constant_result
def _refuse_gpu(kernel: str, device: torch.device, dtype: torch.dtype, channels: int) -> str | None:
    if torch.cuda.get_device_capability(device) < (8, 0):
        return "it needs an Ampere GPU (compute capability 8.0) or newer"
    return self_test_failure(kernel, device, dtype, channels)


def self_test_failure(kernel: str, device: torch.device, dtype: torch.dtype, channels: int) -> str | None:
    r"""Run a kernel on tiny inputs and return how it differs from the literal reference, or None.

    .. math::
        \max_i |y_i - \hat y_i| \le \varepsilon \max(1, \max_i |\hat y_i|)
        \quad \text{for outputs and gradients } y \text{, with those of the reference } \hat y

    A kernel is tested once per process for each device, dtype, precision of products and padded number of channels: for
    these it is compiled anew, and may need more memory than the GPU has. The first failure is a warning.

    Args:
        kernel: One of `KERNELS`.
        device: Where it is to run.
        dtype: Type of the vectors.
        channels: Channels C of a vector.

    Cost: seconds in the first call, to compile the kernel and to compare; then O(1).
    """
    exact = is_exact(dtype)
    width = tile(channels, exact)[1]["CHANNELS"]
    key = kernel, device, dtype, exact, width
    if key not in _verdicts:
        _verdicts[key] = reason = _compare(kernel, device, dtype, exact, width)
        if reason is not None:
            warnings.warn(f"The Triton kernel of {kernel} is not used: {reason}. PyTorch computes it.", stacklevel=2)
    return _verdicts[key]


def _compare(kernel: str, device: torch.device, dtype: torch.dtype, exact: bool, channels: int) -> str | None:
    module, what = import_module(f"pyg_samsa.functional.triton_{kernel}"), str(dtype).removeprefix("torch.")
    # In a new thread neither autocast, nor inference mode, nor a tracer of the caller is on.
    with ThreadPoolExecutor(1) as pool:
        try:
            error: float = pool.submit(module.self_test, device, dtype, channels).result()
        except Exception as problem:  # a kernel that does not compile has many kinds of errors
            return f"its self-test in {what} on {device} raised {type(problem).__name__}: {problem}"
    limit = TOLERANCES[dtype] if exact or dtype != torch.float32 else _TOLERANCE_OF_TF32
    return None if error <= limit else f"its self-test in {what} on {device} is wrong by {error:.1e}"


def largest_error(found: list[Shaped[Tensor, "..."]], expected: list[Shaped[Tensor, "..."]]) -> float:
    r"""Return the largest difference of two lists of tensors; infinity where a number is missing.

    .. math::
        \max_{\text{tensors } y} \; \frac{\max_i |y_i - \hat y_i|}{\max(1, \max_i |\hat y_i|)}

    Args:
        found: Tensors y.
        expected: Tensors :math:`\hat y`.

    Example:
        >>> largest_error([torch.tensor([1.0, 2.0])], [torch.tensor([1.0, 2.5])])
        0.2

    Cost: O(elements).
    """
    errors = []
    for one, other in zip(found, expected, strict=True):
        exact = other.detach().double().cpu()
        difference = (one.detach().double().cpu() - exact).abs().nan_to_num(nan=torch.inf)
        errors.append(float(difference.max() / exact.abs().max().clamp_min(1.0)))
    return max(errors)


def runs_in_triton(kernel: str, values: Float[Tensor, "... C"]) -> bool:
    """Whether a kernel computes what nobody asked a kernel for; otherwise PyTorch computes it.

    On CUDA it does if it can run and passed its self-test. The environment variable PYG_SAMSA_TRITON turns all kernels
    off if it is 0; if it is 1, they also run in the interpreter, on the CPU.

    Args:
        kernel: One of `KERNELS`.
        values: Vectors of C channels.

    Example:
        >>> runs_in_triton("relaxation", torch.zeros(2, 4).double())
        False

    Cost: O(1), and seconds in the first call on a GPU.
    """
    if values.device.type == "cuda":
        return os.environ.get(SWITCH) != "0" and refuse_triton(values, kernel) is None
    return (
        values.device.type == "cpu"
        and is_interpreted()
        and os.environ.get(SWITCH) == "1"
        and refuse_triton(values, kernel) is None
    )


def explain_kernels(
    device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, *, head_channels: int = 16
) -> dict[str, str]:
    """Return for each of the `KERNELS` ``"passed its self-test"``, or why it does not run and what to change.

    Args:
        device: Where the tokens are.
        dtype: Type of the vectors.
        head_channels: Channels C of a head.

    Example:
        >>> explain_kernels("meta")["ranking"]
        'it needs a CUDA device, and the tokens are on meta'

    Cost: seconds in the first call on a GPU, then O(1).
    """
    values = torch.empty(0, head_channels, dtype=dtype, device=device)
    # SFT computes in single precision, whatever it is given.
    given = {name: values.float() if name == "relative" else values for name in KERNELS}
    return {name: refuse_triton(values, name) or "passed its self-test" for name, values in given.items()}


def jit(kernel: Callable[..., Any]) -> Any:
    """Compile a kernel with ``triton.jit``; without Triton return the function itself, so that its module can be
    imported.

    Example:
        >>> HAS_TRITON or jit(len) is len
        True
    """
    if not HAS_TRITON:
        return kernel
    import triton

    return triton.jit(kernel)


def kernel_op(name: str) -> Callable[[Callable[..., Any]], Any]:
    """Register a function that launches kernels as the operator ``torch.ops.pyg_samsa.NAME``.

    ``torch.export`` and ``torch.compile`` then see one operator. The compiler looks into it and sees the kernels,
    except in the interpreter, whose kernels are Python. On tensors without data the same function runs, but nothing
    is launched, so that it tells the shapes of the results.

    Args:
        name: Name of the operator.

    Example:
        >>> @kernel_op("example_of_an_operator")
        ... def double(x: Tensor) -> Tensor:
        ...     return x + x
        >>> torch.ops.pyg_samsa.example_of_an_operator(torch.ones(2))
        tensor([2., 2.])
    """
    register: Any = torch.library.triton_op if HAS_TRITON and not is_interpreted() else torch.library.custom_op

    def decorate(function: Callable[..., Any]) -> Any:
        function.__annotations__ = get_type_hints(function)  # PyTorch 2.6 reads only some of those that are text

        @functools.wraps(function)
        def fake(*args: Any) -> Any:
            _fake.on = True
            try:
                return function(*args)
            finally:
                _fake.on = False

        operator = register(f"pyg_samsa::{name}", mutates_args=())(function)
        operator.register_fake(fake)
        return operator

    return decorate


class _NoLaunch:
    def __getitem__(self, grid: Any) -> Callable[..., None]:
        return lambda *args, **constants: None


class _OnItsDevice:
    """A kernel that is launched on the device of its first tensor, whatever the current device is."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel

    def __getitem__(self, grid: Any) -> Callable[..., None]:
        def launch(*args: Any, **constants: Any) -> None:
            with torch.cuda.device_of(args[0]):
                self.kernel[grid](*args, **constants)

        return launch


def wrap_triton(kernel: Any) -> Any:
    """Return a kernel whose launches tracers see, see ``torch.library.wrap_triton``; its first argument is a tensor.

    The name of this function must not change: PyTorch searches the text of an operator for it, in order to compile
    again when a kernel changed.
    """
    if getattr(_fake, "on", False):
        return _NoLaunch()
    if is_interpreted():
        return kernel
    wrapped = torch.library.wrap_triton(kernel)
    return _OnItsDevice(kernel) if wrapped is kernel else wrapped


# Compiled code is compiled again when the precision changes.
@torch.compiler.assume_constant_result
def is_exact(dtype: torch.dtype) -> bool:
    """Whether products of this type are taken in single precision: as in PyTorch, unless
    ``torch.set_float32_matmul_precision`` allows otherwise.

    Example:
        >>> is_exact(torch.bfloat16)
        False
    """
    return dtype == torch.float32 and torch.get_float32_matmul_precision() == "highest"


def tile(channels: int, exact: bool) -> tuple[int, dict[str, Any]]:
    r"""Return the rows of a square tile of products of vectors, and how kernels multiply them.

    Channels are padded to :math:`2^{\lceil \log_2 C \rceil}`, at least 16. Tiles of many channels, and of exact
    products, are smaller, so that they fit into the registers and into 99 KiB of shared memory:
    ``benchmarks/compile_kernels.py`` prints what they need. The sizes have not been timed on a GPU.

    Args:
        channels: Channels C of a vector.
        exact: Whether products are taken in single precision, see `is_exact`.

    Example:
        >>> tile(20, False)
        (64, {'CHANNELS': 32, 'PRECISION': 'tf32', 'num_warps': 4})

    Cost: O(1).
    """
    width = max(16, 1 << (channels - 1).bit_length())
    rows = 64 if width <= 32 else 32 if width <= 128 else 16
    how = {"CHANNELS": width, "PRECISION": "ieee" if exact else "tf32", "num_warps": 4 if width <= 32 else 8}
    return max(16, rows // 2) if exact else rows, how


def rowwise(x: Shaped[Tensor, "*size"]) -> Shaped[Tensor, "*size"]:
    """Return the same tensor with the channels of a row next to each other in memory; a copy only where needed.

    Example:
        >>> rowwise(torch.zeros(3, 2).T).stride()
        (3, 1)

    Cost: O(elements) for a copy, else O(1).
    """
    return x if x.stride(-1) == 1 else x.contiguous()
