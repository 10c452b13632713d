"""Compile all Triton kernels without a GPU: ``python -m benchmarks.compile_kernels``.

Prints the registers of a thread, the bytes that do not fit into them (spilled), shared memory, and the instructions of
each kernel at the sizes of one layer (8 heads of 16 channels, 256 samples). Triton's package brings the assembler.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyg_samsa.functional import RaggedIndex

HEADS, CHANNELS, SAMPLES = 8, 16, 256
TYPES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16", torch.int64: "i64", torch.bool: "i1"}


class Launch(NamedTuple):
    """A kernel, its arguments and its constants."""

    kernel: Any
    args: tuple[Any, ...]
    constants: dict[str, Any]


class Compiled(NamedTuple):
    """What one kernel needs."""

    kernel: str
    setting: str
    registers: int
    spilled: int
    shared: int
    instructions: int


@contextmanager
def recorded_launches() -> Iterator[list[Launch]]:
    """Record the launches of all kernels; nothing runs."""
    from pyg_samsa.functional import triton_attention, triton_ranking, triton_relative, triton_relaxation

    modules = triton_attention, triton_ranking, triton_relative, triton_relaxation
    launches: list[Launch] = []

    class Recorder:
        def __init__(self, kernel: Any) -> None:
            self.kernel = kernel

        def __getitem__(self, grid: Any) -> Callable[..., None]:
            return lambda *args, **constants: launches.append(Launch(self.kernel, args, constants))

    before = [module.wrap_triton for module in modules]
    try:
        for module in modules:
            module.wrap_triton = Recorder  # type: ignore[attr-defined]
        yield launches
    finally:
        for module, function in zip(modules, before, strict=True):
            module.wrap_triton = function  # type: ignore[attr-defined]


def settings(channels: int = CHANNELS, samples: int = SAMPLES) -> dict[str, Callable[[], None]]:
    """Return functions that launch all kernels, by the name of their setting."""

    def vectors(dtype: torch.dtype) -> list[Tensor]:
        shapes = (6, HEADS, channels), *((2, HEADS, samples, channels),) * 2
        return [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]

    def index() -> RaggedIndex:
        return RaggedIndex.from_sizes([2, 4])

    def attention(dtype: torch.dtype) -> None:
        from pyg_samsa.functional.triton_attention import triton_attention

        triton_attention(*vectors(dtype), index()).sum().backward()

    def relaxation(dtype: torch.dtype) -> None:
        from pyg_samsa.functional.triton_relaxation import relax, relax_backward

        x, z = vectors(dtype)[1].detach(), torch.randn(2, HEADS, samples)
        relax(x, x, z, z, 1.0)
        relax_backward(x, x, x, z, z, 1.0, True)

    def ranking() -> None:
        from pyg_samsa.functional.triton_ranking import triton_ranking

        triton_ranking(torch.randn(6, HEADS), torch.randn(2 * samples, HEADS), index(), 2 * samples)

    def relative(encoded: bool) -> None:
        from pyg_samsa.functional.triton_relative import triton_relative_attention

        gates = torch.randn(6, 2 * HEADS, samples, requires_grad=True) if encoded else None
        leak = torch.rand(2, HEADS, requires_grad=True)
        triton_relative_attention(*vectors(torch.float32), leak, index(), gates).sum().backward()

    def with_precision(run: Callable[..., None], precision: str, *args: Any) -> None:
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision(precision)
        try:
            run(*args)
        finally:
            torch.set_float32_matmul_precision(before)

    kinds = ("float32", "highest"), ("TF32", "high"), ("bfloat16", "highest")
    found: dict[str, Callable[[], None]] = {"scores": ranking}
    for name, precision in kinds:
        dtype = torch.bfloat16 if name == "bfloat16" else torch.float32
        for run in (attention, relaxation):
            found[f"{run.__name__}, {name}"] = lambda run=run, precision=precision, dtype=dtype: with_precision(
                run, precision, dtype
            )
    for name, precision in kinds[:2]:
        for title, encoded in (("SFT", False), ("SFT with encodings", True)):
            found[f"{title}, {name}"] = lambda precision=precision, encoded=encoded: with_precision(
                relative, precision, encoded
            )
    return found


def compile_for(capability: int, launch: Launch, setting: str) -> Compiled:
    """Compile one kernel for a compute capability such as 90."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    given = dict(zip(launch.kernel.arg_names, launch.args, strict=False)) | launch.constants
    options = {name: given.pop(name) for name in ("num_warps", "num_stages") if name in given}
    constant = {p.name for p in launch.kernel.params if p.is_constexpr}
    signature = {name: "constexpr" if name in constant else _type_of(value) for name, value in given.items()}
    # As at a launch: addresses, and numbers that are multiples of 16, are known to be so.
    aligned = {
        (place,): [["tt.divisibility", 16]]
        for place, (name, value) in enumerate(given.items())
        if name not in constant and (isinstance(value, Tensor) or (isinstance(value, int) and value % 16 == 0))
    }
    constants = {name: given[name] for name in constant}
    source = ASTSource(launch.kernel, signature, constants, aligned)
    binary = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary.asm["cubin"])
        file.flush()
        usage, listing = (_dump(file.name, option) for option in ("-res-usage", "-sass"))
    registers, spilled = (int(re.search(rf"{word}:(\d+)", usage)[1]) for word in ("REG", "STACK"))  # type: ignore[index]
    instructions = len(re.findall(r"^\s+/\*[0-9a-f]{4,}\*/", listing, re.MULTILINE))
    return Compiled(launch.kernel.__name__, setting, registers, spilled, binary.metadata.shared, instructions)


def _type_of(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"*{TYPES[value.dtype]}"
    return "fp32" if isinstance(value, float) else "i32"


def _dump(path: str, option: str) -> str:
    import triton

    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    return subprocess.run([str(tool), option, path], capture_output=True, text=True, check=True).stdout


def compile_all(
    capability: int, channels: int = CHANNELS, samples: int = SAMPLES, only: Sequence[str] = ()
) -> Iterator[Compiled]:
    """Compile the kernels of all settings, or of some."""
    for setting, run in settings(channels, samples).items():
        if only and setting not in only:
            continue
        with recorded_launches() as launches:
            run()
        for launch in launches:
            yield compile_for(capability, launch, setting)


def main(argv: list[str] | None = None) -> int:
    """Compile and print; return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compile_kernels", description=__doc__)
    parser.add_argument("--capability", type=int, nargs="+", default=[90, 80], help="compute capabilities")
    parser.add_argument("--channels", type=int, default=CHANNELS, help=f"channels of a head (default: {CHANNELS})")
    args = parser.parse_args(argv)
    for capability in args.capability:
        print(f"compute capability {capability / 10:.1f}")
        print(f"{'setting':30}{'kernel':18}{'registers':>10}{'spilled':>9}{'shared':>8}{'instructions':>14}")
        for row in compile_all(capability, args.channels):
            print(
                f"{row.setting:30}{row.kernel:18}{row.registers:10}{row.spilled:9}{row.shared:8}{row.instructions:14}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
