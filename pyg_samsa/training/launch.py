"""How the processes of a run were started: by torchrun, by srun of SLURM, or by this command itself."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyg_samsa.errors import ConfigError

_INTERACTIVE = ("bash", "interactive")
"""Names of SLURM jobs in which Lightning starts the processes itself."""
_TASKS = ("SLURM_NTASKS", "SLURM_NPROCS", "SLURM_NTASKS_PER_NODE", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID")
_TORCHRUN = ("TORCHELASTIC_RUN_ID", "RANK", "LOCAL_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")


@dataclass(frozen=True)
class Launch:
    """Processes that were started from outside.

    Args:
        program: ``"torchrun"`` or ``"srun"``.
        per_node: Processes of each machine.
        nodes: Number of machines.
        rank: Number of this process among all.
        local_rank: Its number on its machine.

    Example:
        >>> Launch("torchrun", per_node=4, nodes=2, rank=5, local_rank=1).world_size
        8
    """

    program: str
    per_node: int
    nodes: int
    rank: int
    local_rank: int

    @property
    def world_size(self) -> int:
        """Number of all processes."""
        return self.per_node * self.nodes


def find_launch(environment: Mapping[str, str] | None = None) -> Launch | None:
    """Return how the processes were started, or None if this command starts them itself, or is alone.

    Args:
        environment: Variables; those of this process by default.

    Raises:
        ConfigError: SLURM was told the number of tasks, but not that of each machine.

    Example:
        >>> slurm = {"SLURM_NTASKS": "8", "SLURM_NTASKS_PER_NODE": "4", "SLURM_NNODES": "2", "SLURM_PROCID": "5"}
        >>> find_launch({**slurm, "SLURM_LOCALID": "1"})
        Launch(program='srun', per_node=4, nodes=2, rank=5, local_rank=1)
        >>> find_launch({}) is None
        True
    """
    given = os.environ if environment is None else environment

    def number(name: str, default: int) -> int:
        return int(given.get(name, default))

    if "TORCHELASTIC_RUN_ID" in given:
        world = number("WORLD_SIZE", 1)
        per_node = number("LOCAL_WORLD_SIZE", world)
        rank = number("RANK", 0)
        return Launch("torchrun", per_node, max(1, world // per_node), rank, number("LOCAL_RANK", rank % per_node))
    if "SLURM_NTASKS" not in given or given.get("SLURM_JOB_NAME") in _INTERACTIVE:
        return None
    tasks, nodes = number("SLURM_NTASKS", 1), number("SLURM_NNODES", 1)
    if tasks > 1 and "SLURM_NTASKS_PER_NODE" not in given:
        raise ConfigError("--ntasks", tasks, "--ntasks-per-node in its place, so that each machine has equally many")
    per_node = number("SLURM_NTASKS_PER_NODE", 1)
    return Launch("srun", per_node, nodes, number("SLURM_PROCID", 0), number("SLURM_LOCALID", 0))


def slurm_environment() -> Any:
    """Return Lightning's environment for processes of srun, without its own requeueing.

    That saves checkpoints within an epoch, and would load them in place of ours.
    """
    from torch_geometric.graphgym.imports import pl

    # Lightning has two distributions with different names.
    environments = importlib.import_module(f"{pl.__name__}.plugins.environments")
    return environments.SLURMEnvironment(auto_requeue=False)


def without_launch(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables without those that make a process one of several, for a run of its own.

    Args:
        environment: Variables.

    Example:
        >>> without_launch({"SLURM_PROCID": "3", "HOME": "/root", "RANK": "1"})
        {'HOME': '/root'}
    """
    return {name: value for name, value in environment.items() if name not in (*_TASKS, *_TORCHRUN)}
