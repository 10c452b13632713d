import sys

import pytest

from pyg_samsa.errors import ConfigError, MissingDependencyError
from pyg_samsa.io import dask_cluster
from pyg_samsa.io.dask_cluster import check_address, open_cluster


@pytest.mark.parametrize("address", ["", "10.0.0.1:8786", "http://10.0.0.1", "locals"])
def test_other_addresses_are_refused(address):
    with pytest.raises(ConfigError, match=r"--dask: got .*, expected local, or the address"):
        check_address(address)


def test_a_scheduler_has_its_own_workers():
    check_address("local", 2)
    check_address("tls://10.0.0.1:8786")
    with pytest.raises(ConfigError, match="--workers: got 2"):
        check_address("tcp://10.0.0.1:8786", 2)


def test_nothing_answers(monkeypatch):
    monkeypatch.setattr(dask_cluster, "_CONNECT_SECONDS", 0.2)
    with (
        pytest.raises(
            ConfigError, match=r"--dask: got 'tcp://127\.0\.0\.1:1', expected the address of a scheduler that"
        ),
        open_cluster("tcp://127.0.0.1:1"),
    ):
        pass


def test_a_cluster_without_workers(monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setattr(dask_cluster, "_WORKER_SECONDS", 0.2)
    with (
        LocalCluster(n_workers=0, dashboard_address=":0") as empty,
        pytest.raises(ConfigError, match="expected a cluster with workers") as caught,
        open_cluster(empty.scheduler_address),
    ):
        pass
    assert "dask worker" in caught.value.hint


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingDependencyError, match="--dask needs") as caught, open_cluster("local"):
        pass
    assert "pyg-samsa[dask]" in caught.value.hint
