import socket
import sys

import pytest

from pyg_samsa.errors import ConfigError, MissingDependencyError
from pyg_samsa.web import server
from pyg_samsa.web.server import check_installed, open_socket, page_address, serve


def test_a_port_in_use_is_told_before_models_are_loaded(monkeypatch):
    with open_socket("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"--port: got {port}, expected a port of 127.0.0.1 that is free"):
            serve(["no_such_model"], port=port)


def test_wrong_addresses_are_named():
    with pytest.raises(ConfigError, match="--port: got 70000"):
        serve(["peptides"], port=70_000)

    def unknown(*args, **options):
        raise socket.gaierror("unknown")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", unknown)
        with pytest.raises(ConfigError, match="--host: got 'nowhere"):
            serve(["peptides"], host="nowhere.invalid")


def test_the_extra_is_named_where_a_package_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingDependencyError, match="The web page needs the package 'uvicorn'") as raised:
        check_installed()
    assert raised.value.hint == "pip install 'pyg-samsa[web]'"


def test_the_server_listens_on_the_loopback_address_and_says_where(monkeypatch):
    import uvicorn

    seen = {}

    def run(self, sockets):
        seen["host"], seen["port"] = sockets[0].getsockname()
        seen["app"] = self.config.app

    monkeypatch.setattr(uvicorn.Server, "run", run)
    serve(["peptides"], port=0, started=lambda address: seen.update(address=address))
    assert seen["host"] == "127.0.0.1"
    assert seen["address"] == page_address("127.0.0.1", seen["port"])
    assert [model.name for model in seen["app"].state.site.models] == ["peptides"]
    seen["app"].state.site.jobs.close()
    assert server.Limits().max_rows == 1_000_000
