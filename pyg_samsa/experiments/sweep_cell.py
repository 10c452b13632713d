"""A run of a sweep in its own process: ``python -m pyg_samsa.experiments.sweep_cell CONFIG ANSWER KEY [key value]``."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pyg_samsa.errors import EXIT_USER, ConfigError, SAMSAError
from pyg_samsa.experiments.journal import import_optuna
from pyg_samsa.experiments.storage import open_storage, storage_errors
from pyg_samsa.experiments.study import BestSoFar, Pruned, median_pruner, report
from pyg_samsa.io.files import UNWRITABLE, atomic_write, describe_unwritable, remove_partial
from pyg_samsa.io.user_code import import_user_code

EXIT_INTERRUPTED, EXIT_PRUNED = 130, 5
TRIAL = "PYG_SAMSA_TRIAL"
"""Environment variable with storage, study, number of the trial and number of epochs, where runs are pruned."""


def main(argv: Sequence[str]) -> int:
    """Run a config once, and write the folder of the run and its peak memory to a file.

    Args:
        argv: ``--import MODULE`` for each module of the user's own, config, JSON file to write, digest of the settings,
            and overrides ``key value ...``.

    Returns:
        Exit code: 0, that of the error, 130 for Ctrl-C, or 5 if others are better.
    """
    imports, words = [], list(argv)
    while words[:1] == ["--import"]:
        imports.append(words[1])
        del words[:2]
    config, answer, key, *opts = words
    try:
        import_user_code(imports)
        from pyg_samsa.experiments import run as runner

        (result,) = runner.run(config, opts, verbosity=-1, predictor=False, on_epoch=_follower())
    except Pruned as reason:
        print(reason, file=sys.stderr)
        return EXIT_PRUNED
    except SAMSAError as error:
        print(f"error: {error}" + (f" ({error.hint})" if error.hint else ""), file=sys.stderr)
        return error.exit_code
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        print(f"error: {describe_unwritable(error)}", file=sys.stderr)
        return EXIT_USER
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    # A finished run was not repeated, so its memory is unknown.
    memory = None if result.reused else peak_memory()
    remove_partial(answer)
    with atomic_write(Path(answer)) as temporary:
        temporary.write_text(
            json.dumps({"key": key, "folder": str(result.folder.path.resolve()), "peak_memory_mib": memory}),
            encoding="utf-8",
        )
    return 0


def _follower() -> Callable[[Any, Mapping[str, float]], None] | None:
    """Return what reports the validation of each epoch to the study of the sweep; None without pruning."""
    if TRIAL not in os.environ:
        return None
    place, name, number, epochs = json.loads(os.environ[TRIAL])
    optuna = import_optuna()
    with storage_errors(place):
        storage = open_storage(place)
        study = optuna.load_study(study_name=name, storage=storage, pruner=median_pruner(epochs))
        trial = optuna.trial.Trial(study, study.get_trials(deepcopy=False)[number]._trial_id)
    followers: dict[int, BestSoFar] = {}

    def follow(plan: Any, row: Mapping[str, float]) -> None:
        if plan.monitor is None:
            hint = "Leave out --prune, or see dataset.split."
            raise ConfigError("--prune", True, "a split with a validation part", hint=hint)
        sign = -1.0 if plan.higher_is_better else 1.0

        def tell(epoch: int, value: float) -> None:
            with storage_errors(place):
                report(trial, epoch, sign * value, told=value)

        follower = followers.setdefault(0, BestSoFar(plan.monitor, tell, higher_is_better=plan.higher_is_better))
        follower(row)

    return follow


def end_with_parent() -> None:
    """End this process when that of the sweep is killed, whose end of the pipe to stdin then closes."""

    def wait() -> None:
        # Not by sys.stdin, whose lock would abort Python at its end.
        os.read(sys.stdin.fileno(), 1)
        os._exit(EXIT_INTERRUPTED)

    threading.Thread(target=wait, daemon=True).start()


def peak_memory() -> float | None:
    """Return the peak memory in MiB, of the CUDA device if one was used, otherwise of this process; None if unknown.

    Example:
        >>> peak_memory() is None or peak_memory() > 1
        True
    """
    import torch

    if torch.cuda.is_available() and (most := torch.cuda.max_memory_allocated()):
        return round(most / 2**20, 1)
    try:
        import resource
    except ImportError:  # Windows
        return None
    # Linux counts in KiB, macOS in bytes.
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10), 1)


if __name__ == "__main__":
    # A worker in the background of a shell ignores Ctrl-C, and so would its runs, which it interrupts itself.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    end_with_parent()
    sys.exit(main(sys.argv[1:]))
