"""Predictions on a cluster equal those without one, whatever happens to its workers."""

import json
import os
import signal
import threading
import time

import numpy as np
import pytest
import torch

from pyg_samsa.errors import ConfigError, DataError, DataNotFoundError
from pyg_samsa.hub import save_pretrained
from pyg_samsa.io.dask_cluster import open_cluster
from pyg_samsa.io.files import lock
from pyg_samsa.predict import cluster, load_predictor
from pyg_samsa.predict.cluster import SharedModel, check_workers, predict_chunks_on, predict_shards_on
from pyg_samsa.predict.shards import ShardResult, find_shards, predict_shard, sum_results
from pyg_samsa.predict.table_predictor import ChunkInputs, StreamOptions, predict_chunks
from pyg_samsa.task import Task

SMILES = [smiles * length for length in range(1, 9) for smiles in ("C", "CO", "c1ccccc1", "CN", "bad")]


@pytest.fixture
def saved(molecule_network, tmp_path):
    folder = tmp_path / "model"
    save_pretrained(molecule_network(num_samples=4), folder, task=Task("regression", ["y"]))
    return folder


@pytest.fixture
def model(saved):
    return SharedModel.of(str(saved), load_predictor(saved).fingerprint)


@pytest.fixture(scope="module")
def client():
    """A cluster of threads in this process, which starts fast."""
    from distributed import Client

    threads = torch.get_num_threads()
    options = {"processes": False, "n_workers": 1, "threads_per_worker": 2, "dashboard_address": None}
    with Client(**options, set_as_default=False) as made:  # as that of the command
        yield made
    torch.set_num_threads(threads)


def inputs(count=12):
    return [ChunkInputs(SMILES[n:] + SMILES[:n], {}, False) for n in range(count)]


def assert_equal(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.values, other.values)
        assert one.errors == other.errors


def test_chunks_are_equal_to_the_bit_and_in_order(client, model, saved):
    expected = list(predict_chunks(load_predictor(saved), inputs(), StreamOptions()))
    assert check_workers(client, model) == 1
    assert_equal(list(predict_chunks_on(client, model, StreamOptions(workers=5), inputs())), expected)
    assert len({result.values.tobytes() for result in expected}) == len(expected)


def test_only_a_few_chunks_are_read_ahead(client, model):
    read = []

    def source():
        for number, given in enumerate(inputs(12)):
            read.append(number)
            yield given

    results = predict_chunks_on(client, model, StreamOptions(), source())
    for taken in range(1, 4):
        next(results)
        assert len(read) <= cluster._AHEAD * 2 + taken - 1
    results.close()


def test_a_process_loads_a_model_once(model, monkeypatch):
    loaded = []
    monkeypatch.setattr(cluster, "load_predictor", lambda *args, **options: loaded.append(1) or load_predictor(*args))
    assert model.load() is model.load()
    assert len(loaded) == 1


def test_paths_are_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    assert SharedModel.of("run", "a", imports=["parts.py", "math"]) == SharedModel(
        str(tmp_path / "run"), "a", imports=(str(tmp_path / "parts.py"), "math")
    )


def test_workers_that_cannot_load_the_model_are_named(client, model, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"--dask: got 'inproc.*a worker that can load the model \(.*none"):
        check_workers(client, SharedModel(str(tmp_path / "none"), "a"))
    with pytest.raises(ConfigError, match="the same files on all machines"):
        check_workers(client, SharedModel(model.name, "another"))
    monkeypatch.setattr(cluster, "__version__", "0.0.1")
    check_workers(client, model)
    monkeypatch.setattr(cluster, "_describe", lambda model: "0.0.2")
    with pytest.raises(ConfigError, match=r"pyg-samsa 0\.0\.1; it has 0\.0\.2"):
        check_workers(client, model)

    def broken(model):
        raise ModuleNotFoundError("No module named 'pyg_samsa'")

    monkeypatch.setattr(cluster, "_describe", broken)
    with pytest.raises(ConfigError, match=r"can import pyg_samsa \(ModuleNotFoundError"):
        check_workers(client, model)


@pytest.fixture
def shards(tmp_path):
    (tmp_path / "in").mkdir()
    for n in range(4):
        text = "".join(f"{smiles}\n" for smiles in SMILES[n:])
        (tmp_path / "in" / f"{n}.csv").write_text(f"smiles\n{text}")
    return find_shards(tmp_path / "in", tmp_path / "out")


def contents(shards):
    return [shard.target.read_bytes() for shard in shards]


def test_files_are_equal_to_the_byte_and_not_predicted_twice(client, model, saved, shards, tmp_path):
    advanced = []
    results = predict_shards_on(client, model, StreamOptions(), shards, advance=advanced.append)
    assert sum_results(results) == ShardResult(154, 32)
    assert advanced == [1] * 4
    alone = find_shards(tmp_path / "in", tmp_path / "alone")
    for shard in alone:
        predict_shard(load_predictor(saved), shard, StreamOptions())
    assert contents(shards) == contents(alone)
    assert all(result.skipped for result in predict_shards_on(client, model, StreamOptions(), shards))


def test_a_damaged_file_is_told_and_others_stay(client, model, shards):
    shards[0].source.write_text("smiles\n" + '"C\nC\n')
    with pytest.raises(DataError, match=r"0\.csv.*never closed"):
        predict_shards_on(client, model, StreamOptions(), shards)
    shards[0].source.unlink()
    with pytest.raises(DataNotFoundError, match=r"0\.csv"):
        predict_shards_on(client, model, StreamOptions(), shards)


def test_lost_workers_and_schedulers_are_one_line():
    from distributed import CancelledError
    from distributed.scheduler import KilledWorker

    class Failed:
        def __init__(self, error):
            self.error = error

        def result(self):
            raise self.error

    with pytest.raises(DataError, match="chunk 3: the workers that predicted it were ended"):
        cluster._result(Failed(KilledWorker("key", None, 4)), "chunk 3")
    with pytest.raises(DataError, match="chunk 3: the scheduler of the cluster does not answer"):
        cluster._result(Failed(CancelledError("key")), "chunk 3")
    with pytest.raises(OSError, match="No space"):
        cluster._result(Failed(OSError(28, "No space left on device")), "chunk 3")


@pytest.mark.parametrize("how", ["interrupted", "gone"])
def test_workers_leave_a_file_that_nobody_waits_for(client, model, tmp_path, monkeypatch, how):
    """The scheduler stays, as one of other machines does."""
    from distributed import Client

    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "0.csv").write_text("smiles\n" + "".join(f"{smiles}\n" for smiles in SMILES * 5))
    options, shards = StreamOptions(chunk_rows=2), find_shards(tmp_path / "in", tmp_path / "out")
    state = tmp_path / "out" / "0.csv.partial.json"

    def stop(futures, loop=None):
        while not state.exists():
            time.sleep(0.001)
        raise KeyboardInterrupt

    if how == "interrupted":
        with monkeypatch.context() as patch:
            patch.setattr("distributed.as_completed", stop)
            with pytest.raises(KeyboardInterrupt):
                predict_shards_on(client, model, options, shards)
    else:
        other = Client(client.scheduler.address, set_as_default=False)
        future = other.submit(cluster._predict_shard, model, options, shards[0], pure=False)
        with pytest.raises(KeyboardInterrupt):
            stop([future])
        other.close()
        cluster._wait_until_idle(client)
    assert list(client.run(cluster._is_idle).values()) == [True]
    with lock(shards[0].target, wait=False, setting="OUT"):
        assert 0 < json.loads(state.read_text())["rows"] < 200
    assert predict_shards_on(client, model, options, shards) == [ShardResult(200, 40)]


def test_a_file_whose_process_is_killed_is_continued_by_another(model, saved, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "0.csv").write_text("smiles\n" + "".join(f"{smiles}\n" for smiles in SMILES * 15))
    options, killed = StreamOptions(chunk_rows=8), []
    shards = find_shards(tmp_path / "in", tmp_path / "out")

    def kill_in_the_middle(pid):
        state = tmp_path / "out" / "0.csv.partial.json"
        while not state.exists():
            time.sleep(0.001)
        os.kill(pid, signal.SIGKILL)
        killed.append(state.exists())

    with open_cluster("local", workers=1) as client:
        check_workers(client, model)
        (pid,) = client.run(os.getpid).values()
        assert pid != os.getpid()
        thread = threading.Thread(target=kill_in_the_middle, args=[pid])
        thread.start()
        results = predict_shards_on(client, model, options, shards)
        thread.join()
    assert killed == [True]
    assert results == [ShardResult(600, 120)]
    alone = find_shards(tmp_path / "in", tmp_path / "alone")
    predict_shard(load_predictor(saved), alone[0], options)
    assert contents(shards) == contents(alone)
    assert sorted(file.name for file in (tmp_path / "out").iterdir() if file.is_file()) == ["0.csv"]


def test_defaults(defaults):
    expected = {
        "device": "cpu",
        "threads": 1,
    }
    assert expected.items() <= defaults(SharedModel).items()


def test_workers_standardise_molecules(molecule_network, client, tmp_path):
    network, task, steps = molecule_network(num_samples=4), Task("regression", ["y"]), ["fragment", "neutralize"]
    folder = save_pretrained(network, tmp_path / "standardizes", task=task, standardize=steps)
    model = SharedModel.of(str(folder), load_predictor(folder).fingerprint)
    (found,) = predict_chunks_on(client, model, StreamOptions(), [ChunkInputs(["C[NH3+].[Cl-]", "CN"], {}, False)])
    assert [(one.position, one.after) for one in found.changes] == [(0, "CN")]
    assert found.values[0] == found.values[1]
