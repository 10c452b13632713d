"""Two processes with unequal shares of the rows give what one process gives."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist

from pyg_samsa import metrics
from tests import fresh_process

PARTS = [[0, 1], [2]]
ROWS = 31


def build(name: str) -> metrics.BatchMetric:
    return metrics.build(name, 3, parts=PARTS)


def case(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    preds = torch.randn(ROWS, 3, generator=generator)
    metric = build(name)
    if metric.needs_pairs:
        return preds[:, 0], torch.randint(0, 2, (ROWS,), generator=generator)
    if metric.needs_parts:
        return preds, torch.randint(0, 2, (ROWS,), generator=generator)
    if metric.needs_words:  # one word of three
        return preds, torch.randint(0, 3, (ROWS, 1), generator=generator)
    if isinstance(metric, metrics.ConfusionMetric):
        return preds, torch.randint(0, 3, (ROWS,), generator=generator)
    target = torch.randint(0, 2, (ROWS, 3), generator=generator).float()
    target[torch.rand(ROWS, 3, generator=generator) < 0.2] = float("nan")
    return preds, target


def update(metric: metrics.BatchMetric, preds: torch.Tensor, target: torch.Tensor) -> None:
    """Add rows, each a shape of one point where the metric asks for shapes, or a graph with one pair of nodes."""
    count = len(preds)
    batch = SimpleNamespace(batch=torch.arange(count), category=torch.zeros(count, dtype=torch.long))
    if metric.needs_pairs:  # graphs of two pairs: one that is scored 0, and one of the rows
        first = torch.arange(0, 2 * count, 2)
        batch.batch = torch.arange(count).repeat_interleave(2)
        batch.edge_label_index = torch.stack([first.repeat(2), torch.cat([first, first + 1])])
        preds, target = torch.cat([torch.zeros(count), preds]), torch.cat([torch.zeros(count), target])
    metric.update_batch(preds, target, batch)


def worker(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    results = {}
    for name in metrics.available():
        preds, target = case(name)
        for way, share in (
            ("unequal", slice(0, 20) if rank == 0 else slice(20, ROWS)),
            ("one is idle", slice(0, ROWS) if rank == 0 else None),
        ):
            metric = build(name)
            if share is not None:
                for p, t in zip(preds[share].split(6), target[share].split(6), strict=True):
                    update(metric, p, t)
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
    code = f"import runpy; runpy.run_path({__file__!r})['worker'](%d, {str(tmp_path)!r})"
    processes = [fresh_process.start(code % rank) for rank in range(2)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    for rank in range(2):
        results = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name in metrics.available():
            alone = build(name)
            update(alone, *case(name))
            for way in ("unequal", "one is idle"):
                assert results[name, way] == alone.compute().item(), (name, way, rank)
                if hasattr(alone, "per_class"):
                    assert results[name, way, "per class"] == alone.per_class().tolist()
                    assert results[name, way, "kept"], (name, way, rank)
