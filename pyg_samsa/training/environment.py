"""Versions and hardware of a run, for its folder."""

from __future__ import annotations

import os
import platform
import sys
from datetime import datetime, timezone
from importlib import metadata
from typing import Any

import torch

PACKAGES = (
    "pyg-samsa",
    "torch",
    "torch-geometric",
    "pytorch-lightning",
    "lightning",
    "torchmetrics",
    "numpy",
    "pandas",
    "scikit-learn",
    "rdkit",
    "modlamp",
    "lightgbm",
    "ogb",
    "yacs",
)


def describe() -> dict[str, Any]:
    """Return versions, hardware and command line as plain values.

    Example:
        >>> sorted(describe())
        ['argv', 'cpu', 'cpus', 'devices', 'packages', 'platform', 'python', 'time', 'torch_threads', 'version']
    """
    from pyg_samsa import __version__

    return {
        "version": __version__,
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "argv": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cpus": available_cpus(),
        "torch_threads": torch.get_num_threads(),
        "devices": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "packages": {name: version for name in PACKAGES if (version := _version(name)) is not None},
    }


def available_cpus() -> int:
    """Return the number of processors that this process may use.

    Example:
        >>> available_cpus() >= 1
        True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usable_threads(wanted: int) -> int:
    """Return how many threads a computation gets: no more than processors, nor than ``OMP_NUM_THREADS`` allows.

    Launchers such as ``torchrun`` set this variable, so that their processes do not take each other's processors.

    Args:
        wanted: Number of threads that were asked for, at least 1.

    Example:
        >>> usable_threads(1)
        1
    """
    given = os.environ.get("OMP_NUM_THREADS", "")
    limit = int(given) if given.isdecimal() and int(given) else wanted
    return min(wanted, available_cpus(), limit)


def uses_cuda(accelerator: str) -> bool:
    """Return whether a run with this setting trains on CUDA devices.

    Args:
        accelerator: The setting ``accelerator``.

    Example:
        >>> uses_cuda("cpu"), uses_cuda("cuda")
        (False, True)
    """
    return accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available())


def cpu_name() -> str:
    """Return the name of the processor.

    Example:
        >>> isinstance(cpu_name(), str)
        True
    """
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def describe_cpu(threads: int) -> str:
    """Return the name of the processor and the number of threads, for headers.

    Args:
        threads: Number of threads.

    Example:
        >>> describe_cpu(1).endswith(" · 1 thread"), describe_cpu(2).endswith(" · 2 threads")
        (True, True)
    """
    return f"{cpu_name()} · {threads} thread{'s' * (threads != 1)}"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
