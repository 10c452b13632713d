import json

import pytest
import torch
from torch import nn

from benchmarks import checks, contestants, report, suites
from benchmarks.run import main
from benchmarks.timing import Measurement, peak_memory, take_turns
from benchmarks.workloads import POINTS, SYMBOLS, Workload, single

CPU = torch.device("cpu")


def row(**changes):
    return {
        "suite": "block", "workload": "w", "tokens": 8, "channels": 4, "samples": 2, "contestant": "SAMSA", "seconds": 0.5, "low": 0.4, "high": 0.6,  # noqa: E501
        "rounds": 3, "ratio": 1.0, "products": None, "peak_bytes": 1000, "of_rate": 0.5, "check": "equal", **changes,
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


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_missing_device_is_one_line(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--device", "cuda"])
    assert stopped.value.code == 2
    assert "torch sees no CUDA device" in capsys.readouterr().err
