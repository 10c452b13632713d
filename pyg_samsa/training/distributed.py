"""Values on which several processes agree."""

from __future__ import annotations

import atexit
import functools
import os
from collections.abc import Callable

import torch
import torch.distributed as dist

from pyg_samsa.errors import ConfigError
from pyg_samsa.training.environment import uses_cuda

_HANDED_DOWN = "PYG_SAMSA_RUN_FOLDER"


def join_torchrun(accelerator: str = "auto") -> None:
    """Join the process group of torchrun, so that processes can agree before the trainer exists; else do nothing.

    On GPUs, each process takes the device of its local rank first: NCCL binds a process to the present device. Groups
    of CPUs, this one and Lightning's, are left when Python ends.

    Args:
        accelerator: The setting ``accelerator``.

    Raises:
        ConfigError: This machine has fewer GPUs than processes.
    """
    _leave_at_exit()
    torchrun = "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1
    if not torchrun or dist.is_initialized():
        return
    if not uses_cuda(accelerator):
        dist.init_process_group("gloo")
        return
    rank, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if rank >= count:
        expected = f"at most the number of GPUs, {count}"
        raise ConfigError("--nproc_per_node", os.environ.get("LOCAL_WORLD_SIZE", rank + 1), expected)
    device = torch.device("cuda", rank)
    torch.cuda.set_device(device)
    dist.init_process_group("nccl", device_id=device)


@functools.cache
def _leave_at_exit() -> None:
    """Leave a group of CPUs, Lightning's or ours, before Python ends: threads of an open group abort the process.

    A group of GPUs is not left: after an error, that would wait for processes that wait for this one.
    """
    atexit.register(_leave)


def _leave() -> None:
    if dist.is_available() and dist.is_initialized() and dist.get_backend() == "gloo":
        dist.destroy_process_group()


def agree(choose: Callable[[], str]) -> str:
    """Return what the first process chooses, in every process.

    Lightning starts the other processes by running the same command again: they get the first choice through the
    environment, and later ones through the process group.

    Args:
        choose: Called in the first process only.

    Raises:
        ConfigError: This process was started neither by Lightning nor by torchrun.

    Example:
        >>> agree(lambda: "results/demo/0")
        'results/demo/0'
    """
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        choice = [choose() if dist.get_rank() == 0 else ""]
        dist.broadcast_object_list(choice, src=0)
        return choice[0]
    if int(os.environ.get("LOCAL_RANK", "0")) == 0 and int(os.environ.get("RANK", "0")) == 0:
        os.environ[_HANDED_DOWN] = choose()
        return os.environ[_HANDED_DOWN]
    if _HANDED_DOWN not in os.environ:
        raise ConfigError(
            "LOCAL_RANK",
            os.environ.get("LOCAL_RANK"),
            "processes started by this command itself (devices: N) or by torchrun",
        )
    return os.environ[_HANDED_DOWN]
