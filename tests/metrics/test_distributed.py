"""Two processes with unequal shares of the rows give what one process gives."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from pyg_samsa import metrics

CLASSIFICATION = ("accuracy", "accuracy_macro", "f1_macro")


def case(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    preds = torch.randn(31, 3, generator=generator)
    if name in CLASSIFICATION:
        return preds, torch.randint(0, 3, (31,), generator=generator)
    target = torch.randint(0, 2, (31, 3), generator=generator).float()
    target[torch.rand(31, 3, generator=generator) < 0.2] = float("nan")
    return preds, target


def worker(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    results = {}
    for name in metrics.available(parts=False):
        preds, target = case(name)
        for way, share in (
            ("unequal", slice(0, 20) if rank == 0 else slice(20, 31)),
            ("one is idle", slice(0, 31) if rank == 0 else None),
        ):
            metric = metrics.build(name, 3)
            if share is not None:
                for p, t in zip(preds[share].split(6), target[share].split(6), strict=True):
                    metric.update(p, t)
            results[name, way] = metric.compute().item()
            if hasattr(metric, "per_class"):
                results[name, way, "per class"] = metric.per_class().tolist()
                # The rows of a process are its own again after the gather.
                results[name, way, "kept"] = sum(len(rows) for rows in metric.preds) == (
                    0 if share is None else len(preds[share])
                )
    torch.save(results, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.skipif(not dist.is_available() or not dist.is_gloo_available(), reason="torch has no gloo")
def test_two_processes_equal_one(tmp_path: Path) -> None:
    package = str(Path(metrics.__file__).parents[2])
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([package, os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, __file__, str(tmp_path)]
    processes = [
        subprocess.Popen([*command, str(rank)], env=environment, stderr=subprocess.PIPE, text=True) for rank in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    for rank in range(2):
        results = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name in metrics.available(parts=False):
            alone = metrics.build(name, 3)
            alone.update(*case(name))
            for way in ("unequal", "one is idle"):
                assert results[name, way] == alone.compute().item(), (name, way, rank)
                if name not in CLASSIFICATION:
                    assert results[name, way, "per class"] == alone.per_class().tolist()
                    assert results[name, way, "kept"], (name, way, rank)


if __name__ == "__main__":
    worker(rank=int(sys.argv[2]), folder=sys.argv[1])
