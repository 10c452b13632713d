import json
import sys
from types import SimpleNamespace

import pytest

from pyg_samsa.errors import NumericalError
from pyg_samsa.experiments import run as runner
from pyg_samsa.experiments import sweep_cell
from pyg_samsa.experiments.storage import open_storage
from tests import fresh_process


@pytest.mark.parametrize("reused", [False, True])
def test_the_answer_names_folder_and_memory(tmp_path, monkeypatch, reused):
    result = SimpleNamespace(reused=reused, folder=SimpleNamespace(path=tmp_path / "run"))
    seen = []
    monkeypatch.setattr(runner, "run", lambda config, opts, **options: seen.append((config, opts)) or [result])
    answer = tmp_path / "answers" / "cell.json"
    assert sweep_cell.main(["quickstart", str(answer), "key", "seed", "3"]) == 0
    assert seen == [("quickstart", ["seed", "3"])]
    content = json.loads(answer.read_text())
    assert (content["key"], content["folder"]) == ("key", str(tmp_path / "run"))
    assert (content["peak_memory_mib"] is None) == reused


@pytest.mark.parametrize(
    ("error", "code"), [(NumericalError("loss", "is nan", hint="Lower the rate."), 4), (KeyboardInterrupt(), 130)]
)
def test_errors_become_exit_codes_and_leave_no_answer(tmp_path, monkeypatch, capsys, error, code):
    def run(*args, **kwargs):
        raise error

    monkeypatch.setattr(runner, "run", run)
    assert sweep_cell.main(["quickstart", str(tmp_path / "cell.json"), "key"]) == code
    assert capsys.readouterr().err == ("error: loss: is nan (Lower the rate.)\n" if code == 4 else "")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is another signal there")
def test_a_worker_that_ignores_ctrl_c_can_interrupt_its_run(tmp_path):
    (tmp_path / "own.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    code = (
        "import runpy, signal\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "runpy.run_module('pyg_samsa.experiments.sweep_cell', run_name='__main__')"
    )
    done = fresh_process.run(code, "--import", tmp_path / "own.py", "quickstart", "answer.json", "key", cwd=tmp_path)
    assert done.returncode == sweep_cell.EXIT_INTERRUPTED, done.stderr


def test_a_run_reports_its_validation_and_stops_where_others_are_better(tmp_path, monkeypatch, capsys):
    optuna = pytest.importorskip("optuna")
    storage, plan = tmp_path / "study.log", SimpleNamespace(monitor="val_ap", higher_is_better=True)
    study = optuna.create_study(storage=open_storage(storage), study_name="sweep")
    for _ in range(6):
        study.enqueue_trial({})

    def run(config, opts, *, on_epoch, **options):
        for epoch, value in enumerate(rows[-1], start=1):
            on_epoch(plan, {"epoch": epoch, **({} if value is None else {"val_ap": value})})
        return [SimpleNamespace(reused=False, folder=SimpleNamespace(path=tmp_path))]

    monkeypatch.setattr(runner, "run", run)
    rows = []
    for number, values in enumerate([[0.5, None, 0.75, 0.5]] * 5 + [[0.625, None, 0.5, 0.9]]):
        rows.append(values)
        trial = study.ask()
        monkeypatch.setenv(sweep_cell.TRIAL, json.dumps([str(storage), "sweep", number, 4]))
        code = sweep_cell.main(["quickstart", str(tmp_path / "cell.json"), "key"])
        assert code == (sweep_cell.EXIT_PRUNED if number == 5 else 0)
        if code == 0:
            study.tell(trial, -0.75)
    assert study.trials[0].intermediate_values == {1: -0.5, 3: -0.75, 4: -0.75}
    assert study.trials[5].intermediate_values == {1: -0.625, 3: -0.625}
    assert capsys.readouterr().err == "stopped after epoch 3 at 0.6250\n"


def test_pruning_without_a_validation_split_is_refused(tmp_path, monkeypatch, capsys):
    optuna = pytest.importorskip("optuna")
    optuna.create_study(storage=open_storage(tmp_path / "study.log"), study_name="sweep").ask()
    monkeypatch.setenv(sweep_cell.TRIAL, json.dumps([str(tmp_path / "study.log"), "sweep", 0, 4]))
    monkeypatch.setattr(runner, "run", lambda *_, on_epoch, **__: on_epoch(SimpleNamespace(monitor=None), {"epoch": 1}))
    assert sweep_cell.main(["quickstart", str(tmp_path / "cell.json"), "key"]) == 2
    assert capsys.readouterr().err.startswith("error: --prune: got True, expected a split with a validation part")
