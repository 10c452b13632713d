import json
from types import SimpleNamespace

import pytest

from pyg_samsa.errors import NumericalError
from pyg_samsa.experiments import run as runner
from pyg_samsa.experiments import sweep_cell


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
