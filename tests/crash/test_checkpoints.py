"""Trainings that are killed while a checkpoint is written beside them, and continued."""

import os
import signal
import textwrap
import time

import pandas as pd
import pytest
import torch

from tests import fresh_process

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="signals are sent to the processes")]
COLUMNS = ["epoch", "step", "lr", "train_loss", "val_loss", "val_mae"]

TRAIN = """
    import sys, time
    from functools import partial
    from pathlib import Path
    import torch
    from torch_geometric.data import Data
    from pyg_samsa import metrics
    from pyg_samsa.io import files
    from pyg_samsa.nn import SAMSA
    from pyg_samsa.task import Task
    from pyg_samsa.training import losses, schedulers
    from pyg_samsa.training.batch_network import BatchNetwork
    from pyg_samsa.training.data_module import SplitData
    from pyg_samsa.training.fit import fit_and_test
    from pyg_samsa.training.module import TaskModule
    from pyg_samsa.training.optimizers import adamw
    from pyg_samsa.training.run_folder import open_run_folder
    from pyg_samsa.training.trainer import TrainerOptions

    root, resume, moment = Path(sys.argv[1]), sys.argv[2] == "resume", sys.argv[3]
    torch.set_num_threads(1)

    def stop_here(here):
        # From the second checkpoint on, wait to be killed.
        if here == moment and written[-1]:
            (root / "now").write_text(str(written[-1]))
            time.sleep(600)

    written, save, replace = [], torch.save, files.os.replace

    def slow_save(content, file):
        written.append(content["epoch"])
        save(content, file)
        if moment == "half a file" and written[-1]:
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
            stop_here(moment)

    def slow_replace(source, target):
        if written:
            stop_here(f"before {Path(target).name}")
        replace(source, target)
        if written:
            stop_here(f"after {Path(target).name}")

    torch.save, files.os.replace = slow_save, slow_replace
    generator = torch.Generator().manual_seed(0)
    graphs = []
    for row in range(24):
        x = torch.randn(row % 3 + 1, 2, generator=generator)
        edge_index = torch.empty(2, 0, dtype=torch.long)
        graphs.append(Data(x=x, edge_index=edge_index, y=x.mean(0, keepdim=True) @ torch.tensor([[2.0], [-1.0]])))

    class Rows(list):
        task = Task("regression", ["height"])

    torch.manual_seed(0)
    network = SAMSA.from_options(2, 1, channels=8, num_layers=1, heads=2, num_samples=2, dropout=0.1)
    optimizer = partial(adamw, lr=0.003)
    scheduler = lambda optimizer, total, _: schedulers.build("cosine_with_warmup", optimizer, total_steps=total)
    module = TaskModule(
        BatchNetwork(network), loss=losses.build("mse"), metrics={"mae": metrics.build("mae", 1)}, optimizer=optimizer,
        scheduler=scheduler,
    )
    splits = {"train": torch.arange(14), "val": torch.arange(14, 19), "test": torch.arange(19, 24)}
    result = fit_and_test(
        module, SplitData(Rows(graphs), splits, batch_size=4), Rows.task,
        folder=open_run_folder(root, "run", 0, {}, resume=resume),
        options=TrainerOptions(max_epochs=4, accelerator="cpu"), monitor="val_mae", higher_is_better=False,
    )
    print(result.test, result.best_epoch)
"""


@pytest.fixture
def start():
    started = []

    def begin(folder, how, moment="never"):
        folder.mkdir(exist_ok=True)
        started.append(fresh_process.start(textwrap.dedent(TRAIN), folder, how, moment, cwd=folder.parent))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def finish(process):
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    return out.splitlines()[-1]


def rows(folder):
    return pd.read_csv(folder / "run" / "0" / "metrics.csv")[COLUMNS]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that nobody interrupts."""
    return tmp_path_factory.mktemp("whole") / "results"


@pytest.mark.parametrize("moment", ["half a file", "before best.ckpt", "before last.ckpt", "after last.ckpt"])
def test_a_killed_run_goes_on_as_if_nothing_had_happened(tmp_path, whole, start, moment):
    if not whole.exists():
        (whole.parent / "printed").write_text(finish(start(whole, "new")))
    folder = tmp_path / "results"
    process = start(folder, "new", moment)
    for _ in range(1200):
        if (folder / "now").exists():
            break
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.1)
    # The training goes on beside the writer: give it the time to begin the next epoch.
    time.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    checkpoints = folder / "run" / "0" / "checkpoints"
    last, reached = torch.load(checkpoints / "last.ckpt", weights_only=True)["epoch"], int((folder / "now").read_text())
    assert last == (reached if moment == "after last.ckpt" else reached - 1)
    assert finish(start(folder, "resume")) == (whole.parent / "printed").read_text()
    pd.testing.assert_frame_equal(rows(folder), rows(whole), check_exact=True)
    assert sorted(path.name for path in checkpoints.iterdir()) == ["best.ckpt", "last.ckpt"]
