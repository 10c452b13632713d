import threading
import time

import pytest

pytest.importorskip("optuna")

from pyg_samsa.errors import ConfigError
from pyg_samsa.experiments import study as module
from pyg_samsa.experiments.journal import import_optuna
from pyg_samsa.experiments.storage import open_storage
from pyg_samsa.experiments.study import (
    JOB,
    Pruned,
    Worker,
    ask,
    drop,
    median_pruner,
    open_study,
    report,
)


@pytest.fixture
def study(tmp_path):
    """Opens the same study again and again, as processes do."""

    def open_study(**options):
        storage = open_storage(tmp_path / "study.log")
        return import_optuna().create_study(storage=storage, study_name="trees", load_if_exists=True, **options)

    return open_study


def states(study):
    return [trial.state.name for trial in study.trials]


def never(trial):
    return False


def test_a_worker_without_its_lock_is_dead_and_one_observer_takes_its_trial(study, tmp_path):
    first, second = study(), study()
    with Worker(first, tmp_path / "workers") as gone, Worker(second, tmp_path / "workers") as other:
        gone.mark(first.ask())
        assert other.fail_dead(second) == []
        gone._lock.release()  # as the system does when a process is killed
        with Worker(study(), tmp_path / "workers") as third:
            marked = [worker.fail_dead(worker.home) for worker in (other, third)]
        assert [[trial.number for trial in trials] for trials in marked] == [[0], []]
        assert states(second) == ["FAIL"]
    assert not (tmp_path / "workers").exists()


def test_a_worker_of_another_machine_is_dead_when_its_count_stands_still(study, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 3600)
    monkeypatch.setattr(module, "DEAD_SECONDS", 0.05)
    home = study()
    with Worker(home, tmp_path / "here") as here:
        with monkeypatch.context() as patch:
            patch.setattr(module, "_host", lambda: "there")
            with Worker(home, tmp_path / "there") as there:
                there.mark(home.ask())
        for _ in range(3):
            assert here.fail_dead(home) == []  # it counts on
            time.sleep(0.1)
            there._beat()
        assert here.fail_dead(home) == []
        time.sleep(0.1)
        assert [trial.number for trial in here.fail_dead(home)] == [0]


def test_the_count_goes_on_by_itself(study, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.01)
    home = study()
    with Worker(home, tmp_path) as worker:
        for _ in range(500):
            if home.user_attrs[f"worker {worker.name}"] >= 3:
                break
            time.sleep(0.01)
        assert home.user_attrs[f"worker {worker.name}"] >= 3


def test_a_trial_without_a_mark_is_left_for_a_while(study, tmp_path, monkeypatch):
    home = study()
    home.ask()
    with Worker(home, tmp_path) as worker:
        assert worker.fail_dead(home) == []
        monkeypatch.setattr(module, "DEAD_SECONDS", -1.0)
        assert len(worker.fail_dead(home)) == 1


def test_of_equal_jobs_the_first_is_taken_and_others_are_dropped(study, tmp_path):
    home = study()
    for job in ("a", "a", "b"):
        home.enqueue_trial({}, user_attrs={JOB: job})
    with Worker(home, tmp_path) as worker:
        taken = [ask(home, worker, done=never) for _ in range(3)]
    assert [trial.number for trial in taken] == [0, 2, 3]
    assert states(home) == ["RUNNING", "FAIL", "RUNNING", "RUNNING"]
    home.enqueue_trial({}, user_attrs={JOB: "a"})
    home.tell(0, 1.0)
    with Worker(home, tmp_path) as worker:
        assert ask(home, worker, done=lambda trial: trial.value == 1.0).number == 5
        home.enqueue_trial({}, user_attrs={JOB: "a"})
        assert ask(home, worker, done=never).number == 6


def test_many_workers_at_once_take_every_job_once(study, tmp_path):
    for job in range(12):
        study().enqueue_trial({}, user_attrs={JOB: str(job)})
    taken = []

    def work():
        home = study()
        with Worker(home, tmp_path / "workers") as worker:
            while (trial := ask(home, worker, done=never)).user_attrs.get(JOB) is not None:
                taken.append(trial.user_attrs[JOB])
            drop(home, trial)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken, key=int) == [str(job) for job in range(12)]


def test_a_trial_that_ended_is_not_ended_again(study):
    home, state = study(), import_optuna().trial.TrialState
    home.ask()
    assert module.finish(home, 0, 1.0)
    assert not module.finish(home, 0, state=state.FAIL)
    assert home.trials[0].value == 1.0


TOLD = {"key": "--out", "place": "results", "what": "sweep", "cure": "Give another --out."}


def test_settings_of_a_study_are_compared_where_both_know_them(tmp_path):
    def join(identity):
        return open_study(open_storage(tmp_path / "study.log"), "trees", identity, **TOLD, direction="maximize")

    assert join({"seed": 0, "layers": 2}).direction.name == "MAXIMIZE"
    assert join({"seed": 0, "heads": 4}).trials == []
    with pytest.raises(ConfigError, match="--out: got 'results', expected one without a sweep with other") as caught:
        join({"seed": 1, "layers": 3})
    assert caught.value.hint == "It has other values of layers, seed. Give another --out."


@pytest.mark.parametrize("place", ["{}/study.log", "sqlite:///{}/study.db"])
@pytest.mark.parametrize(("layers", "errors"), [((2, 3), 1), ((2, 2), 0)])
def test_of_two_that_begin_at_once_with_other_settings_one_wins(tmp_path, monkeypatch, place, layers, errors):
    place = place.format(tmp_path)
    open_storage(place)
    kind, both = import_optuna().study.Study, threading.Barrier(2, timeout=30)
    real = kind.user_attrs.fget

    def meet(self):
        found = real(self)
        if "settings" not in found:
            both.wait()
        return found

    monkeypatch.setattr(kind, "user_attrs", property(meet))
    found = {}

    def begin(number):
        try:
            found[number] = open_study(open_storage(place), "trees", {"layers": layers[number]}, **TOLD)
        except ConfigError as error:
            found[number] = error

    threads = [threading.Thread(target=begin, args=[number]) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    monkeypatch.undo()
    failed = [number for number in (0, 1) if isinstance(found[number], ConfigError)]
    assert len(failed) == errors
    winner = next(number for number in (0, 1) if number not in failed)
    assert found[winner].user_attrs["settings"] == {"layers": layers[winner]}
    assert found[winner].trials == []


def test_a_hopeless_trial_is_pruned(study):
    home = study(pruner=median_pruner(4))
    for _ in range(5):
        trial = home.ask()
        report(trial, 2, 1.0)
        home.tell(trial, 1.0)
    trial = home.ask()
    report(trial, 1, 3.0)  # in the first quarter
    with pytest.raises(Pruned, match=r"^stopped after epoch 2 at 0\.2500$"):
        report(trial, 2, 2.0, told=0.25)
