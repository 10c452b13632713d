"""Values on which several processes agree."""

from __future__ import annotations

import atexit
import functools
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from pyg_samsa.errors import ConfigError, ProcessError, SAMSAError
from pyg_samsa.training.environment import uses_cuda
from pyg_samsa.training.launch import find_launch, slurm_environment

DEFAULT_MINUTES = 30.0
# What gloo, NCCL and the store of the addresses say.
_LATE = re.compile(r"[Tt]imed out|[Tt]imeout")
_GONE = re.compile(
    r"[Cc]onnection (closed by peer|reset by peer|refused|was likely closed)|[Bb]roken pipe|remote process"
)

_HANDED_DOWN = "PYG_SAMSA_RUN_FOLDER"


def join_processes(accelerator: str = "auto", *, minutes: float = DEFAULT_MINUTES) -> None:
    """Join the process group of torchrun or srun, so that processes agree before the trainer exists; else do nothing.

    On GPUs, each process takes the device of its local rank first: NCCL binds a process to the present device. Groups
    of CPUs, this one and Lightning's, are left when Python ends.

    Args:
        accelerator: The setting ``accelerator``.
        minutes: How long a process waits for the others, above 0.

    Raises:
        ConfigError: This machine has fewer GPUs than processes.
        ProcessError: The other processes do not come.
    """
    _leave_at_exit()
    launch = find_launch()
    if launch is None or launch.world_size == 1 or dist.is_initialized():
        return
    options: dict[str, Any] = {"timeout": timedelta(minutes=minutes)}
    if launch.program == "srun":
        slurm = slurm_environment()
        options |= {"rank": launch.rank, "world_size": launch.world_size}
        options |= {"init_method": f"tcp://{slurm.main_address}:{slurm.main_port}"}
    with lost_processes_told():
        if not uses_cuda(accelerator):
            dist.init_process_group("gloo", **options)
            return
        rank, count = launch.local_rank, torch.cuda.device_count()
        if rank >= count:
            name = "--nproc_per_node" if launch.program == "torchrun" else "--ntasks-per-node"
            raise ConfigError(name, launch.per_node, f"at most the number of GPUs, {count}")
        device = torch.device("cuda", rank)
        torch.cuda.set_device(device)
        dist.init_process_group("nccl", device_id=device, **options)


@contextmanager
def lost_processes_told() -> Iterator[None]:
    """Turn errors about a process that is gone, or does not answer, into one that says so.

    Raises:
        ProcessError: Another process of the run has ended, or did not answer in time.

    Example:
        >>> with lost_processes_told():
        ...     raise RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:4523")
        Traceback (most recent call last):
        pyg_samsa.errors.ProcessError: another process of this run has ended
    """
    try:
        yield
    except (RuntimeError, OSError) as error:
        told = str(error)
        late = _LATE.search(told)
        if not late and not _GONE.search(told):
            raise
        reason = "did not answer in time" if late else "has ended"
        hint = "See its message or the log of its machine."
        if late:
            hint = "It may hang, or need longer: train.process_timeout is the time that processes wait."
        hint += " train.auto_resume True continues the run."
        raise ProcessError(f"another process of this run {reason}", hint=hint) from error


@contextmanager
def told_once() -> Iterator[None]:
    """Mark errors of what all processes do alike, such as checking the configuration: the first one tells them."""
    try:
        yield
    except SAMSAError as error:
        error.everywhere = True
        raise


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
        ConfigError: This process was started neither by Lightning nor by torchrun or srun.

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
            "processes started by this command itself (devices: N), by torchrun or by srun",
        )
    return os.environ[_HANDED_DOWN]
