import json

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data

from benchmarks import checks, contestants, kernels, report, suites
from benchmarks.run import main
from benchmarks.timing import Measurement, peak_memory, take_turns
from benchmarks.workloads import POINTS, SYMBOLS, Workload, single
from pyg_samsa.datasets.features import Features
from pyg_samsa.functional import RaggedIndex, full_attention
from pyg_samsa.task import Task

CPU = torch.device("cpu")


def row(**changes):
    return {
        "suite": "block", "workload": "w", "tokens": 8, "channels": 4, "samples": 2, "contestant": "SAMSA", "seconds": 0.5, "low": 0.4, "high": 0.6,  # noqa: E501
        "rounds": 3, "ratio": 1.0, "products": None, "peak_bytes": 1000, "of_rate": 0.5, "check": "equal",
        "kernel": "sdpa", **changes,
    }  # fmt: skip


def test_workloads_are_those_of_the_tables():
    assert (POINTS.tokens, SYMBOLS.tokens, single(64, 8).tokens) == (32 * 1024, 4 * 4096, 64)
    x, index = Workload("two", [2, 3], 8, 2, (4,)).tensors(CPU)
    assert x.shape == (5, 8)
    assert index.sizes == [2, 3]


def test_peak_memory_counts_what_lives_at_the_same_time():
    def run():
        first = torch.zeros(2**20)
        del first
        second = torch.zeros(2**20)
        return second + 1  # two of 4 MiB at once

    assert peak_memory(run, CPU) == pytest.approx(2 * 4 * 2**20, rel=0.01)


def test_contestants_take_turns_and_slow_ones_sit_out():
    order = []
    out = take_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, CPU, rounds=4)
    assert order[-8:] == ["a", "b", "b", "a", "a", "b", "b", "a"]
    assert [len(measurement.seconds) for measurement in out.values()] == [4, 4]
    slow = take_turns({"a": lambda: None}, CPU, rounds=5, slow=0.0)
    assert len(slow["a"].seconds) == 3
    assert Measurement([3.0, 1.0, 2.0]).median == 2.0


@pytest.mark.parametrize("field", [contestants.ATTENTION, contestants.BLOCK])
def test_every_contestant_runs_forward_and_backward_and_is_judged(field):
    verdicts = {name: checks.check(build, 2) for name, build in field.items()}
    assert {verdicts[name] for name in ("SAMSA", "packed full")} == {"equal"}
    assert {verdicts.pop(name, "") for name in contestants.BOUNDS} == {""}
    assert all(verdict == "equal" or verdict.startswith("depends") for verdict in verdicts.values())
    work = Workload("small", [5, 9], 16, 2, (3,))
    x, index = work.tensors(CPU)
    for build in field.values():
        module = build(work, 3)
        leaf = x.clone().requires_grad_()
        module(leaf, index).sum().backward()
        assert leaf.grad.isfinite().all()
        assert module(x, index).shape == x.shape


def test_a_wrong_contestant_is_found_out():
    class Wrong(nn.Module):
        def forward(self, x, index):
            return x + x.mean(0)

    assert checks.check(lambda work, samples: Wrong(), 2).startswith("depends")
    broken = contestants.ATTENTION["SAMSA"]

    def build(work, samples):
        module = broken(work, samples)
        out = module.module.forward
        module.module.forward = lambda *args, **kwargs: 1.01 * out(*args, **kwargs)
        return module

    assert checks.check(build, 2).startswith("depends")


def test_exponents():
    rows = [row(suite="scaling", tokens=n, seconds=1e-3 * n, peak_bytes=7 * n**2) for n in (10, 20, 40)]
    ((name, time, memory),) = report.exponents(rows)
    assert name == "SAMSA"
    assert (time, memory) == (pytest.approx(1), pytest.approx(2))


def test_report_of_all_kinds_of_rows(tmp_path):
    rows = [
        row(suite="scaling", tokens=n, contestant=name, seconds=n * 1e-3)
        for n in (16, 32)
        for name in ("SAMSA", "packed full")
    ]
    rows += [row(), row(contestant="packed full", ratio=2.0), row(suite="model", ratio=None, of_rate=None)]
    environment = {
        "cpu": "x",
        "device": "cpu",
        "torch_threads": 2,
        "dtype": "float32",
        "packages": {"torch": "2"},
        "product_rate": 1e11,
    }
    paths = report.write(tmp_path / "out", environment, rows)
    assert sorted(path.name for path in paths) == ["block.png", "results.json", "results.md", "scaling.png"]
    text = paths[1].read_text()
    assert "| packed full | 500.0 | 400.0 - 600.0 | 2.00 |" in text
    assert "SAMSA: time grows with tokens to the power 1.00" in text
    assert json.loads(paths[0].read_text())["rows"][0]["tokens"] == 16
    assert report.table([rows[-1]]).row_count == 1


def test_command(tmp_path, monkeypatch, capsys):
    tiny = Workload("tiny", [4, 7], 8, 2, (3,))
    monkeypatch.setattr(suites, "_batches", lambda setting: [tiny])
    monkeypatch.setattr(suites, "_single", lambda tokens, samples, setting: single(9, 3, 8, 2))
    monkeypatch.setattr(suites, "single", lambda tokens, samples: single(5, 3, 8, 2))
    monkeypatch.setattr("benchmarks.timing.product_rate", lambda device, dtype: 1e9)
    threads = torch.get_num_threads()
    assert (
        main(
            [
                "--suite",
                "attention",
                "block",
                "train",
                "--rounds",
                "1",
                "--device",
                "cpu",
                "--threads",
                "1",
                "--out",
                str(tmp_path),
            ]
        )
        == 0
    )
    torch.set_num_threads(threads)
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert {line["contestant"] for line in rows if line["suite"] == "train"} >= {
        "SAMSA",
        "SAMSA soft",
        "packed full",
        "GPSConv performer",
    }
    assert "Performer" in capsys.readouterr().out


def test_results_of_a_suite_are_kept_when_the_next_one_fails(tmp_path, monkeypatch):
    def run_suite(name, setting):
        if name == "scaling":
            yield row(suite=name, tokens=16)
            raise RuntimeError("out of memory")
        yield row(suite=name)

    monkeypatch.setattr(suites, "run_suite", run_suite)
    monkeypatch.setattr("benchmarks.timing.product_rate", lambda device, dtype: 1e9)
    with pytest.raises(RuntimeError, match="out of memory"):
        main(["--suite", "block", "scaling", "model", "--device", "cpu", "--out", str(tmp_path)])
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert [line["suite"] for line in rows] == ["block", "scaling"]


class Molecules(list):
    features, task = Features([4, 4], [3]), Task("multilabel", ["a", "b"])

    def __init__(self, root):
        nodes = torch.arange(5)
        edge_index = torch.stack([nodes, nodes.roll(1)])
        graph = {
            "x": torch.ones(5, 2, dtype=torch.long),
            "edge_index": edge_index,
            "edge_attr": torch.ones(5, 1).long(),
        }
        super().__init__(Data(**graph, code_keys=nodes) for _ in range(40))

    def make_batch(self, rows):
        return Batch.from_data_list([self[row] for row in rows])


def test_whole_networks_run_on_the_device_that_is_asked_for(monkeypatch):
    """On PyTorch's meta device, as on any other than the CPU, a tensor that was left on the CPU is an error."""
    monkeypatch.setattr("pyg_samsa.datasets.EmbeddedPeptides", Molecules)
    monkeypatch.setattr("pyg_samsa.datasets.code_keys.add_code_keys", lambda dataset, kind, edge_features: dataset)
    monkeypatch.setattr(
        suites, "take_turns", lambda runs, device, rounds: {name: timed(run) for name, run in runs.items()}
    )
    setting = suites.Setting(torch.device("meta"), torch.float32, 1, "datasets", 1e9, quick=True)
    rows = list(suites.run_suite("model", setting))
    assert [line["contestant"].rpartition(", ")[2] for line in rows] == ["inference", "training"] * 2
    assert {line["kernel"] for line in rows} == {"sdpa"}


def timed(run):
    run()
    return Measurement([1.0])


def test_full_attention_takes_a_kernel_for_packed_tokens(monkeypatch):
    """With the arguments of the kernel; as the CPU has none, plain attention takes its place."""
    index = RaggedIndex(torch.tensor([0, 3, 3, 7]))
    query, key, value = torch.randn(3, 7, 2, 4).unbind()
    seen = []

    def kernel(query, key, value, offsets, key_offsets, longest, longest_key):
        seen.append((offsets.dtype, offsets.tolist(), offsets is key_offsets, longest, longest_key))
        return full_attention(query, key, value, index)

    expected = full_attention(query, key, value, index)
    monkeypatch.setattr(kernels, "flash_kernel", lambda query, dropout: kernel)
    monkeypatch.setattr(kernels, "torch_varlen", lambda: kernel)
    for name in ("FlashAttention 2", "FlashAttention 3", "varlen", "padded"):
        monkeypatch.setattr(kernels, "full_kernel", lambda query, name=name: name)
        assert torch.equal(kernels.packed_full(query, key, value, index), expected)
    assert seen == [(torch.int32, [0, 3, 3, 7], True, 4, 4)] * 3


class Fake(torch.Tensor):
    """A tensor that says it is on a CUDA device."""

    device = torch.device("cuda")


@pytest.mark.parametrize(
    ("version", "refused", "name"),
    [(3, None, "FlashAttention 3"), (2, None, "FlashAttention 2"), (None, None, "varlen"), (None, "no", "padded")],
)
def test_the_kernel_of_full_attention_has_a_name(monkeypatch, version, refused, name):
    monkeypatch.setattr(kernels, "flash_version", lambda query: version)
    monkeypatch.setattr(kernels, "refuse_varlen", lambda query, dropout: refused)
    assert kernels.full_kernel(torch.zeros(1, 1, 8).as_subclass(Fake)) == name


def test_kernels_of_contestants():
    work = Workload("small", [5, 9], 16, 2, (3,))
    made = {name: build(work, 3) for name, build in contestants.BLOCK.items()}
    found = {name: kernels.kernel_of(module, CPU, torch.float32) for name, module in made.items()}
    assert found["SAMSA"] == found["SAMSA soft"] == "sdpa"
    assert found["packed full"] == "graph by graph"
    assert {found[name] for name in found if name not in ("SAMSA", "SAMSA soft", "packed full")} == {""}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_missing_device_is_one_line(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--device", "cuda"])
    assert stopped.value.code == 2
    assert "torch sees no CUDA device" in capsys.readouterr().err
