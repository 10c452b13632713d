"""Devices of networks that predict."""

from __future__ import annotations

import torch

from pyg_samsa.errors import ConfigError

_KINDS = ("cpu", "cuda", "mps")


def find_device(device: str | torch.device) -> torch.device:
    """Return a device, after a check that it is there.

    Args:
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``; or a device of PyTorch, of any other kind too.

    Raises:
        ConfigError: There is no such device.

    Example:
        >>> find_device("cpu")
        device(type='cpu')
        >>> find_device("gpu")
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: device: got 'gpu', expected cpu, cuda, cuda:1 and the like, or mps
    """
    if isinstance(device, torch.device) and device.type not in _KINDS:
        return device
    try:
        found = torch.device(device)
    except RuntimeError:
        found = None
    if found is None or found.type not in _KINDS:
        hint = "Did you mean 'cuda'?" if str(device) == "gpu" else ""
        raise ConfigError("device", str(device), "cpu, cuda, cuda:1 and the like, or mps", hint=hint)
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}[found.type]
    if not there:
        hint = "`pyg-samsa doctor` shows the devices that PyTorch finds."
        raise ConfigError("device", str(device), "a device that is there", hint=hint)
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise ConfigError("device", str(device), f"a number below {torch.cuda.device_count()}, the number of GPUs")
    return found
