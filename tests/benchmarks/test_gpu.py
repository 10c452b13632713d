import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import gpu, gpu_report, operators, step_counts
from pyg_samsa.functional import RaggedIndex

PLAN = gpu.Plan("cpu", "small/peptides_bridge", "datasets", Path("results/gpu"), 1.0, 1, 1.0)


def python(code):
    return [sys.executable, "-c", code]


def test_views_are_free_and_masks_wait():
    x = torch.ones(4, requires_grad=True)
    counts = step_counts.count_step(lambda: x.view(2, 2).t().detach())
    assert (counts.launches, counts.waits, counts.written) == (0, 0, 0)
    counts = step_counts.count_step(lambda: x.detach()[torch.tensor([True, False, True, False])])
    assert counts.waits == 1
    y = torch.zeros(4)
    counts = step_counts.count_step(lambda: y.add_(1))
    assert (counts.launches, counts.written) == (1, 16)
    counts = step_counts.count_step(lambda: (x * 2).sum().backward())
    assert dict(counts.most)["mul"] == 2  # the product, and that of its gradient


def test_a_deep_step_is_that_of_two_blocks_and_the_others(monkeypatch):
    def count(layers, **options):
        return step_counts.StepCounts(100 + 10 * layers, 1, 1000 * layers, ())

    monkeypatch.setattr(step_counts, "of_network", count)
    found = step_counts.of_depth(24, bf16=False, root="datasets")
    assert found["block"] == {"launches": 10, "waits": 0, "written": 1000}
    assert found["step"] == {"launches": 340, "waits": 1, "written": 24_000}


@pytest.mark.slow
@pytest.mark.parametrize("bf16", [False, True])
def test_a_training_step_waits_for_nothing_and_every_block_adds_the_same(monkeypatch, bf16):
    monkeypatch.setattr(step_counts, "peptide_batch", lambda root, graphs: small_batch())
    size = {"channels": 16, "heads": 2, "num_samples": 3, "ffn_channels": 16}
    counted = [step_counts.of_network(layers, bf16=bf16, root="", **size) for layers in (2, 3, 4)]
    assert [counts.waits for counts in counted] == [0, 0, 0]
    two, three, four = (counts.launches for counts in counted)
    assert four - three == three - two > 50


def small_batch():
    from types import SimpleNamespace

    from torch_geometric.data import Data

    from pyg_samsa.training.data_module import SplitData

    def graph(size):
        nodes = torch.arange(size)
        labels = torch.tensor([[1.0, 0.0]])
        return Data(
            x=nodes[:, None] % 3,
            edge_index=torch.stack([nodes, nodes.roll(1)]),
            edge_attr=nodes[:, None] % 2,
            code_keys=nodes,
            y=labels,
        )

    data = SplitData([graph(size) for size in (5, 3, 9)], {"train": torch.arange(3)}, batch_size=3, pin_memory=False)
    features = SimpleNamespace(in_channels=[4], edge_channels=[4])
    return SimpleNamespace(features=features, task=SimpleNamespace(num_targets=2)), next(iter(data.loader("train")))


@pytest.mark.parametrize("name", operators.OPERATORS)
def test_operators_agree_on_the_path_for_accelerators(name):
    rows = operators.compare(name, torch.device("cpu"))
    assert [row.precision for row in rows] == ["float64", "float32", "bf16"]
    assert {row.verdict for row in rows} == {"ok"}
    assert rows[0].output < 1e-12
    assert 1e-9 < rows[1].output < rows[2].output < 0.1  # the precisions are really used


def test_a_wrong_operator_is_found(monkeypatch):
    class Wrong(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(()))

        def forward(self, x, index: RaggedIndex, **others):
            if x.dtype == torch.float32:
                return x * self.weight * 1.1
            return x * self.weight

    monkeypatch.setitem(operators.OPERATORS, "wrong", Wrong)
    monkeypatch.setattr(operators, "SAMSABlock", lambda channels, conv: Block(conv))
    verdicts = {row.precision: row.verdict for row in operators.compare("wrong", torch.device("cpu"))}
    assert verdicts["float64"] == "ok"
    assert verdicts["float32"] == "differs"

    class Fails(Wrong):
        def forward(self, x, index: RaggedIndex, **others):
            if x.dtype == torch.float32:
                raise RuntimeError("no kernel")
            return x * self.weight

    monkeypatch.setitem(operators.OPERATORS, "fails", Fails)
    assert operators.compare("fails", torch.device("cpu"))[1].verdict == "RuntimeError: no kernel"


class Block(torch.nn.Module):
    def __init__(self, conv):
        super().__init__()
        self.conv, self.alpha = conv, torch.nn.Parameter(torch.ones(()))

    def forward(self, x, ptr, pos):
        return x + self.alpha * self.conv(x, ptr)


def test_every_stage_has_commands_of_modules_that_exist():
    names = [name for stage in gpu.STAGES for name in gpu.commands(stage, PLAN)]
    assert len(names) == len(set(names)) == 6 + 1 + len(gpu.PRECISIONS)
    for stage in gpu.STAGES:
        for command in gpu.commands(stage, PLAN).values():
            assert command[:2] == [sys.executable, "-m"]
            assert importlib.util.find_spec(command[2]) is not None


def test_settings_of_all_runs_are_accepted():
    from pyg_samsa.graphgym.config import load_config

    for stage in ("epochs", "training"):
        for command in gpu.commands(stage, PLAN).values():
            start = command.index("--cfg")
            loaded = load_config(command[start + 1], command[start + 2 :])
            assert loaded.name


def test_commands_that_succeeded_are_not_run_again(tmp_path, monkeypatch, capsys):
    plan = replace(PLAN, out=tmp_path)
    marks = tmp_path / "marks"
    append = python(f"open({str(marks)!r}, 'a').write('x'); print('hello')")
    now = {"good": append, "bad": python("raise SystemExit(3)")}
    monkeypatch.setattr(gpu, "commands", lambda stage, plan: now)
    state = gpu.run_stages(["tests"], plan, again=False)
    assert {name: command["returncode"] for name, command in state.items()} == {"good": 0, "bad": 3}
    assert json.loads((tmp_path / "state.json").read_text()) == state
    assert (tmp_path / "logs" / "good.log").read_text() == "hello\n"
    assert "bad: failed with exit code 3" in capsys.readouterr().out
    gpu.run_stages(["tests"], plan, again=False)
    assert marks.read_text() == "x"
    gpu.run_stages(["tests"], plan, again=True)
    assert marks.read_text() == "xx"
    now["good"] = [*append[:2], append[2] + ";pass"]  # other settings
    gpu.run_stages(["tests"], plan, again=False)
    assert marks.read_text() == "xxx"


def test_a_command_that_takes_too_long_is_interrupted_then_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "_STOPS", ((0.0, gpu.signal.SIGINT), (10.0, gpu.signal.SIGKILL)))
    # A process that a shell started in the background ignores Ctrl-C, and so would this one.
    polite = "import signal, time\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    polite += "try:\n    print('on', flush=True)\n    time.sleep(60)\n"
    polite += "except KeyboardInterrupt:\n    print('off')"
    returncode, seconds = gpu.run_command(python(polite), tmp_path / "polite.log", 2.5)
    assert returncode is None
    assert seconds < 30
    assert (tmp_path / "polite.log").read_text() == "on\noff\n"
    monkeypatch.setattr(gpu, "_STOPS", ((0.0, gpu.signal.SIGINT), (0.5, gpu.signal.SIGKILL)))
    deaf = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\ntime.sleep(60)"
    returncode, seconds = gpu.run_command(python(deaf), tmp_path / "deaf.log", 1.0)
    assert returncode is None
    assert seconds < 30


def test_processes_that_outlive_their_command_are_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "_STOPS", ((0.0, gpu.signal.SIGINT), (0.5, gpu.signal.SIGKILL)))
    sleeper = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(60)"
    orphan = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {sleeper!r}])"
    assert gpu.run_command(python(orphan), tmp_path / "orphan.log", 2.0)[1] < 30


def fill(out):
    """Write what the stages leave."""
    (out / "kernels" / "float32").mkdir(parents=True)
    (out / "kernels" / "float32" / "results.md").write_text("Kernels here.\n")
    (out / "tests.xml").write_text(
        '<testsuites><testsuite tests="4" failures="1" errors="0" skipped="1"><testcase classname="tests.a" name="ok"/>'
        '<testcase classname="tests.a" name="bad"><failure/></testcase></testsuite></testsuites>'
    )
    row = operators.Comparison("SAMSA", "float32", 1e-7, 2e-6, "ok")
    (out / "operators.json").write_text(json.dumps([row._asdict()]))
    counts = {"layers": 24, "step": {"launches": 4000, "waits": 0, "written": 2_000_000}}
    counts["block"] = {"launches": 150, "waits": 0, "written": 1_000_000}
    (out / "launches.json").write_text(json.dumps({"float32": counts}))
    for name, seconds in (("float32", [9.0, 4.0, 2.0, 3.0]), ("bf16-compiled", [5.0]), ("training", [1.0, 2.0])):
        folder = out / "runs" / name / "0"
        folder.mkdir(parents=True)
        (folder / "metrics.csv").write_text("epoch,seconds\n" + "".join(f"{i},{s}\n" for i, s in enumerate(seconds)))


def test_the_report_holds_what_was_measured(tmp_path, monkeypatch):
    fill(tmp_path)
    state = {"tests": {"command": [], "returncode": 1, "seconds": 12.0}}
    text = gpu_report.write(tmp_path, state, ["float32", "bf16, compiled", "TF32"]).read_text()
    assert "| tests | failed with exit code 1 | 12 |" in text
    assert "2 passed, 1 failed, 1 skipped." in text
    assert "- `tests.a::bad`" in text
    assert "## Attention and blocks, float32\n\nKernels here." in text
    assert "| SAMSA | float32 | 1.0e-07 | 2.0e-06 | ok |" in text
    assert "| float32 | step, 24 blocks | 4,000 | 0 | 2.0 |" in text
    assert "| float32 | 4 | 9.0 | 3.0 |" in text
    assert "| bf16, compiled | 1 | 5.0 | 5.0 |" in text
    assert "TF32" not in text
    assert "2 epochs in 3 s" in text
    assert "the same command continues it" in text
    summary = {"best_epoch": 2, "test": {"ap": 0.61234}}
    (tmp_path / "runs" / "training" / "0" / "summary.json").write_text(json.dumps(summary))
    monkeypatch.setattr(subprocess, "run", lambda command, **others: subprocess.CompletedProcess(command, 0))
    text = gpu_report.write(tmp_path, state, []).read_text()
    assert "Test split, epoch 2: ap 0.6123." in text
    assert "training.html" in text


def test_the_report_reads_the_run_that_was_written_last(tmp_path):
    fill(tmp_path)
    newer = tmp_path / "runs" / "float32" / "0-2"
    newer.mkdir()
    (newer / "metrics.csv").write_text("epoch,seconds\n1,7.0\n")
    os.utime(tmp_path / "runs" / "float32" / "0" / "metrics.csv", (1, 1))
    assert "| float32 | 1 | 7.0 | 7.0 |" in gpu_report.write(tmp_path, {}, ["float32"]).read_text()


def test_results_of_an_earlier_run_are_not_kept(tmp_path, monkeypatch):
    fill(tmp_path)
    monkeypatch.setattr(gpu, "commands", lambda stage, plan: {stage: python("raise SystemExit(1)")})
    gpu.run_stages(["tests", "operators", "launches"], replace(PLAN, out=tmp_path), again=False)
    assert not list(tmp_path.glob("*.xml"))
    assert [path.name for path in tmp_path.glob("*.json")] == ["state.json"]


def test_a_report_of_nothing_says_what_failed(tmp_path):
    text = gpu_report.write(tmp_path, {"data": {"returncode": None, "seconds": 1.0}}, ["float32"]).read_text()
    assert "| data | stopped at the limit | 1 |" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--minutes", "0"], "--minutes: got 0.0, expected a number above 0"),
        (["--cfg", "no_such"], "--cfg: got 'no_such'"),
        (["optim.max_epochs", "3"], "optim.max_epochs"),
        ([], "a GPU that torch sees"),
    ],
)
def test_wrong_arguments_are_told_before_anything_runs(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(gpu, "run_stages", lambda *given, **named: pytest.fail("nothing may run"))
    device = ["--device", "cpu"] if arguments else []
    with pytest.raises(SystemExit) as error:
        gpu.main([*device, *arguments])
    assert error.value.code == 2
    assert message in capsys.readouterr().err


def test_the_exit_code_tells_of_failures(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(gpu, "commands", lambda stage, plan: {stage: python(f"raise SystemExit({stage == 'tests'})")})
    assert gpu.main(["--device", "cpu", "--stages", "data"]) == 0
    assert gpu.main(["--device", "cpu", "--stages", "data", "tests"]) == 1
    assert gpu.main(["--device", "cpu", "--stages", "data"]) == 0  # the failure of another stage was told before
    assert "written: results" in capsys.readouterr().out
