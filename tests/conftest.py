import importlib.util
import inspect
import os
import sys
from pathlib import Path

import pytest
import torch
import yaml

HERE = Path(__file__).parent
CONFIG = {
    "dataset": {"format": "tiny", "name": "multilabel", "task": "graph", "task_type": "classification_multilabel"},
    "metric_best": "ap",
    "num_threads": 1,
    "train": {"batch_size": 8},
    "model": {"type": "samsa", "loss_fun": "cross_entropy"},
    "samsa": {"layers": 2, "channels": 8, "heads": 2, "num_samples": 4, "dropout": 0.1},
    "optim": {
        "optimizer": "adamW",
        "base_lr": 0.01,
        "weight_decay": 0.01,
        "max_epoch": 3,
        "scheduler": "cosine_with_warmup",
        "clip_grad_norm": True,
    },
}


def load(name):
    """Return a module of this folder."""
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def pytest_runtest_setup(item):
    """Skip tests with the mark ``cuda`` where there is no such device; Triton's kernels also run in its interpreter."""
    interpreted = os.environ.get("TRITON_INTERPRET") == "1" and "triton" in item.path.name
    if item.get_closest_marker("cuda") and not interpreted and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")


@pytest.fixture(autouse=True)
def unpainted(request, monkeypatch):
    """Figures are painted in ``tests/viz`` and in tests with the mark ``painted`` only."""
    if importlib.util.find_spec("matplotlib") is None or "viz" in request.path.parts:
        return
    if request.node.get_closest_marker("painted") is None:
        from tests import unpainted

        monkeypatch.setattr("matplotlib.figure.Figure.savefig", unpainted.save)


@pytest.fixture(scope="session", autouse=True)
def quick_workers():
    """Pools of processes fork theirs from the server of ``tests.fresh_process``, so that not each imports everything.

    ``tests/chem/test_smiles.py`` runs scripts whose pools start them as users' do.
    """
    from joblib.externals.loky.backend import context

    from tests import fresh_process

    if fresh_process.CAN_FORK:
        context.set_start_method("forkserver", force=True)


@pytest.fixture(scope="session")
def tiny():
    """The module of the tiny data set, registered with GraphGym."""
    return load("tiny")


@pytest.fixture
def defaults():
    """Returns the defaults of the arguments of a class, which are a part of its interface, without empty ones."""

    def find(made):
        found = {name: one.default for name, one in inspect.signature(made).parameters.items()}
        plain = {name: value for name, value in found.items() if isinstance(value, bool | int | float | str | tuple)}
        return {name: value for name, value in plain.items() if value not in ("", ())}

    return find


@pytest.fixture
def float32_device(monkeypatch):
    """A device without float64, on which the test may compute."""
    from pyg_samsa.functional import float64

    module = load("float32_device")
    monkeypatch.setattr(float64, "WITHOUT_FLOAT64", {module.DEVICE.type})
    with module.Float32Device():
        yield module.DEVICE


@pytest.fixture
def config(tmp_path, tiny):
    """Writes a configuration: ``config(samsa={"layers": 3})`` changes the default one."""

    def write(name="exp.yaml", **changes):
        content = {
            "out_dir": str(tmp_path / "results"),
            **{key: dict(value) if isinstance(value, dict) else value for key, value in CONFIG.items()},
        }
        for key, value in changes.items():
            content[key] = {**content.get(key, {}), **value} if isinstance(value, dict) else value
        path = tmp_path / name
        path.write_text(yaml.safe_dump(content))
        return path

    return write


@pytest.fixture
def shapes_config(tmp_path):
    """Writes a configuration of a few shapes: ``shapes_config(layers=2)`` changes a setting of ``samsa``."""

    def write(**samsa):
        content = {
            "out_dir": str(tmp_path / "results"),
            "num_threads": 1,
            "dataset": {"format": "samsa", "name": "shapes", "dir": str(tmp_path), "per_family": 3, "num_points": 16},
            "train": {"batch_size": 8},
            "model": {"type": "samsa", "loss_fun": "cross_entropy"},
            "samsa": {"layers": 1, "channels": 8, "heads": 2, **samsa},
            "optim": {"optimizer": "adamW", "max_epoch": 1},
        }
        path = tmp_path / "exp.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write
