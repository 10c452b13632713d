import json
import os
import platform
import re
import sys
from datetime import datetime
from importlib import metadata
from pathlib import Path

import pytest
import torch

import pyg_samsa
from pyg_samsa.training import environment


def test_versions_and_hardware_of_this_process():
    found = environment.describe()
    assert found["version"] == pyg_samsa.__version__
    assert found["argv"] == sys.argv
    assert found["python"] == platform.python_version()
    assert found["torch_threads"] == torch.get_num_threads()
    assert len(found["devices"]) == torch.cuda.device_count()
    assert datetime.fromisoformat(found["time"]).utcoffset().total_seconds() == 0


def test_it_can_be_written_as_json():
    found = environment.describe()
    assert json.loads(json.dumps(found)) == found


def test_only_installed_packages_are_listed(monkeypatch):
    monkeypatch.setattr(environment, "PACKAGES", ("torch", "no-such-package"))
    assert environment.describe()["packages"] == {"torch": metadata.version("torch")}


def test_processors_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 2, 5}, raising=False)
    assert environment.available_cpus() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert environment.available_cpus() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert environment.available_cpus() == 1


@pytest.mark.parametrize(("given", "threads"), [(None, 3), ("2", 2), ("8", 3), ("0", 3), ("", 3), ("many", 3)])
def test_threads_are_limited_by_processors_and_the_environment(monkeypatch, given, threads):
    monkeypatch.setattr(environment, "available_cpus", lambda: 3)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert environment.usable_threads(6) == threads
    assert environment.usable_threads(1) == 1


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="the system has no /proc/cpuinfo")
def test_the_name_of_the_processor_is_that_of_the_system():
    names = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    assert environment.cpu_name() == (names[0].strip() if names else platform.processor() or platform.machine())


def test_the_name_of_the_processor_where_the_system_has_no_cpuinfo(monkeypatch):
    monkeypatch.setattr(os.path, "exists", lambda path: False)
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert environment.cpu_name() == "arm64"
