import time

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("rdkit")

from fastapi.testclient import TestClient

from pyg_samsa.experiments.training_molecules import TrainingMolecules
from pyg_samsa.predict import Predictor, load_predictor
from pyg_samsa.predict.conformal import Calibration
from pyg_samsa.task import Task
from pyg_samsa.web.app import create_app
from pyg_samsa.web.limits import Limits
from pyg_samsa.web.served_models import ServedModel


class CountAtoms(Predictor):
    """Predicts the number of atoms, with intervals of plus or minus 0.5."""

    def __init__(self, extra_columns=(), pause=0.0):
        self.task = Task("regression", ["atoms"])
        self.calibration = Calibration("regression", (np.full(30, 0.5),))
        self.extra_columns, self.pause = extra_columns, pause

    def outputs(self, inputs, *, draws=None):
        time.sleep(self.pause)
        values = inputs.table.num_nodes.astype(float)[:, None]
        return values + inputs.extra(self.extra_columns).sum(1, keepdims=True), None


def make_counter(name="atoms", **options):
    task = Task("regression", ["atoms"])
    training = TrainingMolecules(task, ["CCO", "c1ccccc1", "CCCCCC"], np.array([[3.25], [np.nan], [6.0]]))
    return ServedModel(name, CountAtoms(**options), training)


@pytest.fixture
def counter():
    """Makes a model that counts atoms: ``counter(pause=0.1)`` is slow, ``counter(extra_columns=["pH"])`` adds pH."""
    return make_counter


@pytest.fixture(scope="session")
def peptides():
    """The packaged model of three labels, without intervals and training molecules."""
    return ServedModel("peptides", load_predictor("peptides"), without_training="no run")


@pytest.fixture(scope="session")
def limits():
    return Limits(max_mb=1, max_rows=2_000, max_atoms=60, max_minutes=1, max_tables=4, drawn_atoms=40)


@pytest.fixture
def open_client(limits):
    """Makes a client of a server: ``open_client([model])``."""
    opened = []

    def make(models, **options):
        app = create_app(models, options.pop("limits", limits), **options)
        client = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=True)
        client.__enter__()
        opened.append(client)
        return client

    yield make
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture
def client(open_client, peptides):
    """A client of a server with a model that counts atoms and the packaged one."""
    return open_client([make_counter(), peptides])


@pytest.fixture
def finish():
    """Waits until a table is finished: ``finish(client, job)`` returns its last state."""

    def wait(client, job):
        for _ in range(600):
            found = client.get(f"/api/jobs/{job['id']}").json()
            if found["state"] not in ("waiting", "running"):
                return found
            time.sleep(0.02)
        raise AssertionError(found)

    return wait


@pytest.fixture
def predicted(finish):
    """Predicts pasted molecules: ``predicted(client, "CCO ethanol")`` returns the finished job."""

    def run(client, text, **options):
        answer = client.post("/api/jobs", json={"text": text, **options})
        assert answer.status_code == 201, answer.text
        return finish(client, answer.json())

    return run


@pytest.fixture
def hostile():
    """A name that would run a script if a page took it for HTML."""
    return "</script><img src=x onerror=alert(1)>"
