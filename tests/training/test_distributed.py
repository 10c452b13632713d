import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from pyg_samsa.errors import ConfigError
from pyg_samsa.training import distributed


def test_processes_agree(monkeypatch):
    for name in ("LOCAL_RANK", "RANK", distributed._HANDED_DOWN):
        monkeypatch.delenv(name, raising=False)
    assert distributed.agree(lambda: "here") == "here"
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert distributed.agree(lambda: pytest.fail("only the first process chooses")) == "here"
    monkeypatch.delenv(distributed._HANDED_DOWN)
    with pytest.raises(ConfigError, match="torchrun"):
        distributed.agree(lambda: "there")


@pytest.mark.slow
def test_processes_of_torchrun_agree(tmp_path):
    script = tmp_path / "go.py"
    script.write_text(
        "import os, sys\n"
        "from pyg_samsa.training.distributed import agree, join_torchrun\n"
        "join_torchrun()\n"
        "chosen = agree(lambda: 'from ' + os.environ['RANK'])\n"
        "open(os.path.join(sys.argv[1], os.environ['RANK']), 'w').write(chosen)\n"
    )
    root = str(Path(__file__).parents[2])
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]),
    }
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        str(script),
        str(tmp_path),
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    assert [(tmp_path / rank).read_text() for rank in "01"] == ["from 0", "from 0"]


def test_the_first_of_several_processes_chooses(monkeypatch):
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    sent = []

    def broadcast(values, src):
        assert src == 0
        if dist.get_rank() == 0:
            sent[:] = values
        else:
            values[:] = sent

    monkeypatch.setattr(dist, "broadcast_object_list", broadcast)
    monkeypatch.setattr(dist, "get_rank", lambda: 0)
    assert distributed.agree(lambda: "results/0") == "results/0"
    monkeypatch.setattr(dist, "get_rank", lambda: 1)
    assert distributed.agree(lambda: pytest.fail("only the first process chooses")) == "results/0"


@pytest.mark.parametrize(
    ("environment", "joins"),
    [
        ({}, False),
        ({"WORLD_SIZE": "2"}, False),  # not torchrun
        ({"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "1"}, False),
        ({"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2"}, True),
    ],
)
def test_only_processes_of_torchrun_join_a_group(monkeypatch, environment, joins):
    for name in ("TORCHELASTIC_RUN_ID", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    joined = []
    monkeypatch.setattr(dist, "init_process_group", joined.append)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    distributed.join_torchrun()
    assert joined == (["gloo"] if joins else [])
