"""Train, keep the best and the last epoch, test the best one, and write the run's folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

from pyg_samsa.errors import ConfigError, DataNotFoundError
from pyg_samsa.nn import num_parameters
from pyg_samsa.task import Task
from pyg_samsa.training import run_folder as files
from pyg_samsa.training.best_epoch import best_epoch, describe_fallback
from pyg_samsa.training.callbacks import EarlyStop, EpochEnd, ExactResume, History, Row, epochs_without_progress
from pyg_samsa.training.checkpoint_check import BEST, LAST, check_progress, check_weights
from pyg_samsa.training.checkpoint_io import AtomicCheckpointIO
from pyg_samsa.training.compilation import compile_network
from pyg_samsa.training.data_module import SplitData
from pyg_samsa.training.distributed import lost_processes_told
from pyg_samsa.training.environment import describe
from pyg_samsa.training.epoch_checkpoints import EpochCheckpoints
from pyg_samsa.training.module import TaskModule
from pyg_samsa.training.progress_display import EpochLines, ProgressDisplay
from pyg_samsa.training.results import Finish, RunOutput, RunResult
from pyg_samsa.training.run_folder import RunFolder
from pyg_samsa.training.time_limit import TimeLimit
from pyg_samsa.training.trainer import TrainerOptions, build_trainer


def fit_and_test(
    module: TaskModule,
    data: SplitData,
    task: Task | RunOutput,
    *,
    folder: RunFolder,
    options: TrainerOptions,
    monitor: str | None,
    higher_is_better: bool = True,
    seed: int = 0,
    loggers: Sequence[Any] = (),
    console: Any = None,
    finish: Finish | None = None,
    on_epoch: Callable[[Row], None] | None = None,
) -> RunResult:
    """Train a module, test it on its best epoch, and write the run's folder.

    A folder that holds a first part is continued from its last checkpoint: weights, optimiser, schedule, history, order
    of the data and all random numbers, so the losses are those of an uninterrupted run.

    Args:
        module: The module to train.
        data: Its loaders.
        task: The targets; or what keeps the test predictions and writes the files, see `RunOutput`.
        folder: From :func:`~pyg_samsa.training.run_folder.open_run_folder`.
        options: How to train.
        monitor: Logged name, such as ``val_ap``, that chooses the best epoch; None tests the last one (always so
            without a validation split).
        higher_is_better: Direction of ``monitor``.
        seed: Seed of the run, already set by the caller before the network was made.
        loggers: Lightning loggers.
        console: A rich console for the progress; None for silence.
        finish: Called in the first process with the result, the history and the test predictions, before the summary is
            written; meant for pictures and for saving the network, which then has the weights that were tested.
        on_epoch: Called in the first process with the row of the history after each epoch. An error that it raises
            stops the training.

    Raises:
        ConfigError: The folder is in use, a split is missing or has fewer rows than there are processes, or no epoch
            would be validated.
        NumericalError: A loss is not finite.
        DataNotFoundError: A checkpoint that must be there is not.
        KeyboardInterrupt: the user stopped the run; it can be resumed.

    Returns:
        The result, also written as ``summary.json``.
    """
    monitor = monitor if data.has("val") else None
    _check_period(options, monitor)
    lines = EpochLines(monitor, higher_is_better=higher_is_better, max_epochs=options.max_epochs)
    history = History(folder.file(files.METRICS))
    display = ProgressDisplay(console, lines, history) if console is not None else None
    history.on_row = partial(_tell, [display and display.on_row, on_epoch])
    output = RunOutput(data, task) if isinstance(task, Task) else task
    shown = [display] if display is not None else []
    callbacks = [history, ExactResume(seed), output.callback, *shown, EpochEnd(history)]
    limit = _time_limit(options, history, lines, display)
    callbacks += [limit] if limit is not None else []
    callbacks += _at_epoch_ends(folder, options, history, monitor, higher_is_better)
    trainer = build_trainer(folder, options, callbacks, loggers, data.has("val"), all_weights=module.uses_all_weights)
    if options.compile:
        compile_network(module.network)
    with folder.alone() if trainer.is_global_zero else nullcontext():
        if trainer.is_global_zero:
            folder.write_json(files.ENVIRONMENT, describe())
        tests_best = monitor is not None and options.keep_best and options.save_checkpoints
        _fit(trainer, module, data, folder, tests_best=tests_best)
        validated = _is_validated(history.rows)
        chosen = folder.best if tests_best and validated else folder.last
        epoch = _load_weights(module, chosen) if options.save_checkpoints else len(history.rows)
        test = _test(trainer, module, data) if data.has("test") else {}
        used = best_epoch(history.rows, monitor, higher_is_better=higher_is_better).monitor if history.rows else monitor
        result = RunResult(
            folder=folder,
            seed=seed,
            best_epoch=epoch,
            val=_values(history.rows[epoch - 1], "val_") if history.rows else {},
            test=test,
            parameters=num_parameters(module.network),
            epochs=len(history.rows),
            seconds=history.rows[-1]["total_seconds"] if history.rows else 0.0,
            fallback=describe_fallback(monitor, used, validated=validated) if tests_best else "",
            waited=epochs_without_progress(history.rows, monitor, higher_is_better),
            time_limit=limit.seconds if limit is not None and limit.ended else None,
            per_class=output.per_class(),
            official=output.official() if trainer.is_global_zero else {},
        )
        if trainer.is_global_zero:
            # A file that was damaged since the last epoch is whole again.
            history.write()
            output.write(result, history.rows, used, finish)
    return result


def _tell(watchers: Sequence[Callable[[Row], Any] | None], row: Row) -> None:
    for on_row in watchers:
        if on_row is not None:
            on_row(row)


def _check_period(options: TrainerOptions, monitor: str | None) -> None:
    if monitor is not None and options.eval_every > options.max_epochs:
        hint = "No epoch would be validated."
        raise ConfigError("train.eval_period", options.eval_every, f"at most {options.max_epochs} epochs", hint=hint)


def _is_validated(rows: Sequence[Row]) -> bool:
    """Say whether any epoch was validated; a limit of the time may end a run before that."""
    return any(name.startswith("val_") for row in rows for name in row)


def _at_epoch_ends(
    folder: RunFolder, options: TrainerOptions, history: History, monitor: str | None, higher_is_better: bool
) -> list[Any]:
    """Return what acts when the row of an epoch is complete: checkpoints, then early stopping."""
    callbacks: list[Any] = []
    if options.save_checkpoints:
        chooses = monitor if options.keep_best else None
        choice: dict[str, Any] = {"higher_is_better": higher_is_better, "archive_every": options.archive_every}
        callbacks.append(EpochCheckpoints(folder, history, chooses, **choice))
    if options.patience and monitor is not None:
        stop = EarlyStop(history, monitor, higher_is_better=higher_is_better, patience=options.patience)
        callbacks.append(stop)
    return callbacks


def _time_limit(
    options: TrainerOptions, history: History, lines: EpochLines, display: ProgressDisplay | None
) -> TimeLimit | None:
    if options.max_seconds is None:
        return None

    def show(epochs: int) -> None:
        lines.max_epochs = epochs

    tell = None if display is None else display.note
    return TimeLimit(history, options.max_seconds, fit_schedule=options.fit_schedule, tell=tell, on_fit=show)


def _fit(trainer: Any, module: TaskModule, data: SplitData, folder: RunFolder, *, tests_best: bool) -> None:
    data.check_processes(trainer.world_size)
    goes_on = folder.resumed and folder.last.is_file()
    if goes_on:
        _check_checkpoints(trainer, module, folder, tests_best=tests_best)
    try:
        with lost_processes_told():
            trainer.fit(module, datamodule=data, ckpt_path=str(folder.last) if goes_on else None)
    except SystemExit as stopped:
        # Lightning turns Ctrl-C into an exit code of its own.
        if isinstance(stopped.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from stopped
        raise
    if trainer.interrupted:
        raise KeyboardInterrupt


def _check_checkpoints(trainer: Any, module: TaskModule, folder: RunFolder, *, tests_best: bool) -> None:
    """Check the checkpoints of a run that goes on, before it is trained for hours."""
    reader = AtomicCheckpointIO()
    content = reader.load_checkpoint(folder.last)
    check_weights(folder.last, content, module, hint=LAST)
    check_progress(folder.last, content, module)
    if content["epoch"] + 1 > trainer.max_epochs:
        hint = "Set optim.max_epoch to that number or more, or rename the folder of the run to start again."
        expected = f"at least {content['epoch'] + 1}, the number of epochs that {folder.path} has done"
        raise ConfigError("optim.max_epoch", trainer.max_epochs, expected, hint=hint)
    rows = content["callbacks"]["History"]["rows"]
    if tests_best and _is_validated(rows):
        if not folder.best.is_file():
            raise DataNotFoundError(f"{folder.best}: no such checkpoint", hint=BEST)
        check_weights(folder.best, reader.load_checkpoint(folder.best), module, hint=BEST)


def _load_weights(module: TaskModule, path: Any) -> int:
    """Load the weights of a checkpoint and return its epoch, counted from 1."""
    if not path.is_file():
        raise DataNotFoundError(
            f"{path}: no such checkpoint",
            hint="Nothing was validated or trained; check optim.max_epoch and train.eval_period.",
        )
    checkpoint = AtomicCheckpointIO().load_checkpoint(path)
    check_weights(path, checkpoint, module, hint=BEST)
    module.load_state_dict(checkpoint["state_dict"])
    return int(checkpoint["epoch"]) + 1


def _test(trainer: Any, module: TaskModule, data: SplitData) -> dict[str, float]:
    values = trainer.test(module, datamodule=data, verbose=False)[0]
    return _values({key: float(value) for key, value in values.items()}, "test_")


def _values(row: Mapping[str, float], prefix: str) -> dict[str, float]:
    return {key.removeprefix(prefix): value for key, value in row.items() if key.startswith(prefix)}
