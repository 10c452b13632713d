import atexit
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist

from pyg_samsa.errors import ConfigError, ProcessError
from pyg_samsa.training import distributed
from pyg_samsa.training.distributed import lost_processes_told, told_once
from tests import fresh_process

HALF_AN_HOUR = {"timeout": timedelta(minutes=30)}


def test_processes_agree(monkeypatch):
    for name in ("LOCAL_RANK", "RANK", distributed._HANDED_DOWN):
        monkeypatch.delenv(name, raising=False)
    assert distributed.agree(lambda: "here") == "here"
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert distributed.agree(lambda: pytest.fail("only the first process chooses")) == "here"
    monkeypatch.delenv(distributed._HANDED_DOWN)
    with pytest.raises(ConfigError, match="torchrun"):
        distributed.agree(lambda: "there")


def test_processes_of_torchrun_agree(tmp_path):
    code = (
        "import os\n"
        "from pyg_samsa.training.distributed import agree, join_processes\n"
        "join_processes()\n"
        "chosen = agree(lambda: 'from ' + os.environ['RANK'])\n"
        "open(os.environ['RANK'], 'w').write(chosen)\n"
    )
    for done in fresh_process.run_group(code, cwd=tmp_path):
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
        ({"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}, False),
        ({"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "1"}, False),
        ({"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2"}, True),
    ],
)
def test_only_processes_of_torchrun_join_a_group(monkeypatch, environment, joins):
    for name in ("TORCHELASTIC_RUN_ID", "WORLD_SIZE", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    joined = []
    monkeypatch.setattr(dist, "init_process_group", lambda backend, **options: joined.append((backend, options)))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    distributed.join_processes()
    assert joined == ([("gloo", HALF_AN_HOUR)] if joins else [])


def test_groups_are_left_when_python_ends(monkeypatch):
    distributed._leave_at_exit.cache_clear()
    at_exit, left = [], []
    monkeypatch.setattr(atexit, "register", at_exit.append)
    for _ in range(2):
        distributed.join_processes()
    (leave,) = at_exit
    monkeypatch.setattr(dist, "destroy_process_group", lambda: left.append(True))
    monkeypatch.setattr(dist, "is_initialized", lambda: False)
    leave()
    assert left == []
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_backend", lambda: "nccl")
    leave()
    assert left == []
    monkeypatch.setattr(dist, "get_backend", lambda: "gloo")
    leave()
    assert left == [True]


@pytest.fixture
def gpus(monkeypatch):
    """Pretends to be a process of torchrun on a machine with GPUs: ``gpus(rank=1, count=2)`` returns what is called."""
    called = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: called.append(("device", device)))
    monkeypatch.setattr(dist, "init_process_group", lambda backend, **options: called.append((backend, options)))
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")

    def pretend(rank, count):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        # The second of two machines: the device follows from the rank on this machine.
        for name, value in {"RANK": 4 + rank, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": 4, "WORLD_SIZE": 8}.items():
            monkeypatch.setenv(name, str(value))
        return called

    return pretend


@pytest.mark.parametrize("accelerator", ["auto", "gpu", "cuda"])
def test_a_process_takes_its_device_before_it_joins(gpus, accelerator):
    called = gpus(rank=3, count=4)
    distributed.join_processes(accelerator)
    device = torch.device("cuda", 3)
    assert called == [("device", device), ("nccl", {"device_id": device, **HALF_AN_HOUR})]


def test_training_on_cpus_of_a_machine_with_gpus_joins_without_them(gpus):
    called = gpus(rank=3, count=0)
    distributed.join_processes("cpu")
    assert called == [("gloo", HALF_AN_HOUR)]


def test_more_processes_than_gpus_are_refused(gpus):
    called = gpus(rank=3, count=2)
    with pytest.raises(ConfigError, match=r"--nproc_per_node: got 4, expected at most the number of GPUs, 2"):
        distributed.join_processes()
    assert called == []


def test_processes_of_srun_join_at_the_address_of_the_first_machine(monkeypatch):
    joined = []
    monkeypatch.setattr(dist, "init_process_group", lambda backend, **options: joined.append((backend, options)))
    for name in ("TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "")  # restored afterwards
        monkeypatch.delenv(name)
    slurm = {"NTASKS": 4, "NTASKS_PER_NODE": 2, "NNODES": 2, "PROCID": 3, "LOCALID": 1, "NODEID": 1, "JOB_ID": 71234}
    for name, value in {**slurm, "NODELIST": "gpu[07-08]"}.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    distributed.join_processes("cpu", minutes=2)
    options = {"timeout": timedelta(minutes=2), "rank": 3, "world_size": 4, "init_method": "tcp://gpu07:16234"}
    assert joined == [("gloo", options)]


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("[../third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer [10.0.0.1]:1", "has ended"),
        ("[..] Timed out waiting 1800000ms for recv operation to complete", "did not answer in time"),
        ("Connection reset by peer", "has ended"),
    ],
)
def test_a_process_that_is_gone_is_one_message(told, reason):
    with pytest.raises(ProcessError, match=f"^another process of this run {reason}") as caught, lost_processes_told():
        raise RuntimeError(told)
    assert "train.auto_resume True continues" in caught.value.hint
    with pytest.raises(RuntimeError, match="shape"), lost_processes_told():
        raise RuntimeError("shape mismatch")


def test_errors_of_all_processes_are_marked():
    with pytest.raises(ConfigError) as caught, told_once():
        raise ConfigError("devices", 3, "2")
    assert caught.value.everywhere
    assert not ConfigError("devices", 3, "2").everywhere
