"""Folder of a run; files of earlier runs are never deleted or overwritten."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from pyg_samsa.errors import ConfigError, DataIntegrityError
from pyg_samsa.hub.folder import PREDICTOR_SUBFOLDER, RUN_SUBFOLDER
from pyg_samsa.io.files import atomic_write, lock, remove_partial
from pyg_samsa.options import plain
from pyg_samsa.training.run_files import NOT_WRITTEN_AGAIN, own_file, read_mapping

CONFIG, ENVIRONMENT, METRICS, SUMMARY = "config.yaml", "environment.json", "metrics.csv", "summary.json"
LOCK, PREDICTIONS, CURVES, CLASSES, PARTS = (
    ".lock",
    "predictions_test.csv",
    "learning_curves.png",
    "per_class.png",
    "parts.png",
)
PREDICTOR_PREDICTIONS = "predictor_test.csv"
STANDARDIZED = "standardized.csv"
"""List of the molecules of the data set that the standardisation changed."""
TASKS = "tasks"
"""Subfolder of the folder of a run on several tasks; it holds a folder for each of them."""
_FILES = (
    *(CONFIG, ENVIRONMENT, METRICS, SUMMARY, PREDICTIONS, CURVES, CLASSES, PARTS, PREDICTOR_PREDICTIONS),
    STANDARDIZED,
)
# Settings that may differ between the parts of a resumed run: they change where and for how long it trains.
VOLATILE = frozenset(
    {"run_name", "out_dir", "num_workers", "num_threads", "print", "gpu_mem", "accelerator"}
    | {
        "train.auto_resume",
        "optim.max_epoch",
        "train.patience",
        "train.max_seconds",
        "train.process_timeout",
        "dataset.dir",
    }
)
VOLATILE_GROUPS = frozenset({"wandb", "share"})
SHORTENED = "shortened"
"""Group of a configuration with the values of settings before they were shortened to the number of epochs."""
TABLES = "tables"
"""Group of a configuration with the hash of each table of the user's own that a run was trained on."""


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run.

    Args:
        path: Where it is.
        resumed: Whether it holds the first part of this very run.
        note: Why this folder was chosen, if an earlier one exists; else empty.

    Example:
        >>> folder = RunFolder(Path("results/demo/0"))
        >>> folder.best.as_posix(), folder.file("summary.json").name
        ('results/demo/0/checkpoints/best.ckpt', 'summary.json')
    """

    path: Path
    resumed: bool = False
    note: str = ""

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def last(self) -> Path:
        """Checkpoint of the last epoch."""
        return self.checkpoints / "last.ckpt"

    @property
    def best(self) -> Path:
        """Checkpoint of the epoch with the best validation."""
        return self.checkpoints / "best.ckpt"

    def file(self, name: str) -> Path:
        """Return the path of a file of the run.

        Example:
            >>> RunFolder(Path("results/demo/0")).file("metrics.csv").as_posix()
            'results/demo/0/metrics.csv'
        """
        return self.path / name

    def summary(self) -> dict[str, Any] | None:
        """Return the summary of a finished run, None for one that did not finish.

        Raises:
            DataIntegrityError: It is damaged.

        Example:
            >>> import tempfile
            >>> folder = RunFolder(Path(tempfile.mkdtemp()))
            >>> folder.summary() is None
            True
            >>> folder.write_json("summary.json", {"status": "finished"})
            >>> folder.summary()
            {'status': 'finished'}
        """
        return read_mapping(self.file(SUMMARY))

    def check(self) -> None:
        """Check that no file of the folder is in the place of a folder, or the other way round.

        Raises:
            DataIntegrityError: One is.

        Example:
            >>> import tempfile
            >>> folder = RunFolder(Path(tempfile.mkdtemp()))
            >>> folder.checkpoints.touch()
            >>> folder.check()
            Traceback (most recent call last):
            pyg_samsa.errors.DataIntegrityError: ...checkpoints: got a file, expected a folder
        """
        for path in (self.checkpoints, self.file(RUN_SUBFOLDER), self.file(PREDICTOR_SUBFOLDER)):
            if path.exists() and not path.is_dir():
                raise DataIntegrityError(path, "a folder", "a file", hint="Rename or delete it.")
        for path in (*map(self.file, _FILES), self.last, self.best):
            own_file(path)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the lock of the folder, so that no other process writes into it.

        Raises:
            ConfigError: Another process holds it.

        Example:
            >>> import tempfile
            >>> with RunFolder(Path(tempfile.mkdtemp())).alone():
            ...     pass
        """
        with lock(self.path, wait=False, setting="out_dir", lock_file=self.file(LOCK)):
            yield

    def remove_partial(self) -> None:
        """Remove what killed writers left behind; nothing while another process uses the folder.

        Example:
            >>> import tempfile
            >>> folder = RunFolder(Path(tempfile.mkdtemp()))
            >>> _ = folder.file(".summary.0a1b2c3d4e5f.part.json").write_text("{")
            >>> folder.remove_partial()
            >>> list(folder.path.iterdir())
            []
        """
        with suppress(ConfigError), self.alone():
            remove_partial(self.path / "*")
            remove_partial(self.checkpoints / "*")

    def discard_unused(self) -> None:
        """Remove this folder if its run ended within the first epoch: it then holds only the configuration.

        Example:
            >>> import tempfile
            >>> folder = RunFolder(Path(tempfile.mkdtemp()))
            >>> folder.write_config({"seed": 0})
            >>> folder.discard_unused()
            >>> folder.path.exists()
            False
        """
        if self.resumed or self.file(METRICS).exists() or self.checkpoints.exists():
            return
        disposable = (CONFIG, ENVIRONMENT, LOCK, STANDARDIZED)
        # Anything else in it, such as events of a logger or a predictor, keeps it as it is.
        if any(path.name not in disposable for path in self.path.iterdir()):
            return
        for name in disposable:
            self.file(name).unlink(missing_ok=True)
        self.path.rmdir()

    def write_standardized(self, source: Path) -> None:
        """Copy the list of the standardised molecules of the data set into the folder, whole or not at all.

        Args:
            source: The list.

        Example:
            >>> import tempfile
            >>> path = Path(tempfile.mkdtemp())
            >>> _ = (path / "list.csv").write_text("row")
            >>> RunFolder(path).write_standardized(path / "list.csv")
            >>> (path / "standardized.csv").read_text()
            'row'
        """
        with atomic_write(self.file(STANDARDIZED)) as temporary:
            shutil.copyfile(source, temporary)

    def write_json(self, name: str, content: Any) -> None:
        """Write a JSON file, whole or not at all.

        Example:
            >>> import tempfile
            >>> folder = RunFolder(Path(tempfile.mkdtemp()))
            >>> folder.write_json("numbers.json", [1, 2])
            >>> json.loads(folder.file("numbers.json").read_text())
            [1, 2]
        """
        with atomic_write(self.file(name)) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write the configuration as YAML that the command line takes again.

        Example:
            >>> import tempfile
            >>> folder = RunFolder(Path(tempfile.mkdtemp()))
            >>> folder.write_config({"optim": {"base_lr": 0.1}})
            >>> folder.file("config.yaml").read_text().splitlines()
            ['optim:', '  base_lr: 0.1']
        """
        with atomic_write(self.file(CONFIG)) as temporary:
            temporary.write_text(yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True), encoding="utf-8")


def open_run_folder(
    out_dir: str | os.PathLike[str],
    name: str,
    seed: int,
    config: Mapping[str, Any],
    *,
    resume: bool = False,
    defaults: Mapping[str, Any] = MappingProxyType({}),
) -> RunFolder:
    """Choose and make the folder of a run: ``out_dir/name/seed``, or ``seed-2``, ``seed-3``, ... where that is taken.

    Args:
        out_dir: Folder of all results.
        name: Name of the configuration.
        seed: Seed of the run.
        config: Plain nested configuration, written into the folder.
        resume: Whether the newest folder of the same configuration and seed is continued. Settings that only say where
            and how long to train may differ.
        defaults: Dotted name -> default. A run of an earlier version, whose configuration lacks a setting, had these.

    Raises:
        ConfigError: The folder cannot be made.

    Example:
        >>> import tempfile
        >>> root = tempfile.mkdtemp()
        >>> [open_run_folder(root, "demo", 0, {"a": 1}).path.name for _ in range(2)]
        ['0', '0-2']
        >>> folder = open_run_folder(root, "demo", 0, {"a": 1}, resume=True)
        >>> folder.path.name, folder.resumed
        ('0-2', True)
        >>> folder = open_run_folder(root, "demo", 0, {"a": 2}, resume=True)
        >>> folder.path.name, folder.note
        ('0-3', '.../demo/0-2 has other settings (a): this run gets a new folder')
    """
    parent = Path(out_dir) / name
    try:
        parent.mkdir(parents=True, exist_ok=True)
        note, taken = "", _numbered(parent, seed)
        if resume and taken:
            for number in sorted(taken, reverse=True):
                folder = taken[number]
                RunFolder(folder).remove_partial()
                if not any(folder.iterdir()):  # killed before it wrote anything
                    return _started(folder, config)
                if not (differs := _differences(folder, config, defaults)):
                    RunFolder(folder).check()
                    return RunFolder(folder, resumed=True)
                note = (
                    note
                    or f"{_short(folder)} has other settings ({', '.join(differs[:3])}): this run gets a new folder"
                )
        elif taken:
            note = f"{_short(taken[max(taken)])} is there from an earlier run and stays as it is"
        folder = _claim(parent, seed, max(taken, default=0) + 1)
    except OSError as error:
        raise ConfigError("out_dir", str(out_dir), f"a folder that can be written to ({error.strerror})") from error
    return _started(folder, config, note)


def _started(folder: Path, config: Mapping[str, Any], note: str = "") -> RunFolder:
    run = RunFolder(folder, note=note)
    run.write_config(config)
    return run


def _numbered(parent: Path, seed: int) -> dict[int, Path]:
    pattern = re.compile(rf"{re.escape(str(seed))}(?:-(\d+))?")
    found = ((pattern.fullmatch(child.name), child) for child in parent.iterdir() if child.is_dir())
    return {int(match.group(1) or 1): child for match, child in found if match}


def _claim(parent: Path, seed: int, number: int) -> Path:
    while True:
        folder = parent / (str(seed) if number == 1 else f"{seed}-{number}")
        try:
            # mkdir is atomic: of two runs that start together only one gets the name.
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder


def _differences(folder: Path, config: Mapping[str, Any], defaults: Mapping[str, Any]) -> list[str]:
    content = read_mapping(folder / CONFIG, hint=NOT_WRITTEN_AGAIN)
    if content is None:
        return ["no config.yaml"]
    now = settings(config)
    new = settings({key: plain(defaults[key]) for key in now.keys() & defaults.keys()})
    earlier = new | settings(content)
    differs = sorted(key for key in earlier.keys() | now.keys() if earlier.get(key) != now.get(key))
    before, after = _group(content, TABLES), _group(config, TABLES)
    return differs + [f"the rows of {name}" for name, value in after.items() if before.get(name, value) != value]


def saved_tables(folder: Path) -> Mapping[str, Any]:
    """Return the hashes of the tables of the user's own that a run was trained on; empty if they were not saved.

    Args:
        folder: Folder of the run.

    Raises:
        ConfigError: The configuration of the run cannot be read.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / CONFIG).write_text("tables: {dataset.csv: 0a1b}")
        >>> saved_tables(folder)
        {'dataset.csv': '0a1b'}
    """
    return _group(read_mapping(folder / CONFIG, hint=NOT_WRITTEN_AGAIN) or {}, TABLES)


def settings(config: Mapping[str, Any], *, volatile: bool = False) -> dict[str, Any]:
    """Return a configuration as dotted names and values, without what only says where and how long a run trains.

    A setting that was shortened to the number of epochs has its value of before, so that a run that is continued for
    more epochs has the same settings.

    Args:
        config: Nested configuration.
        volatile: Whether those are kept, and the values that the run had.

    Example:
        >>> settings({"seed": 1, "out_dir": "results", "optim": {"base_lr": 0.1, "max_epoch": 3}})
        {'seed': 1, 'optim.base_lr': 0.1}
    """
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if name in (SHORTENED, TABLES):
            continue
        if isinstance(value, Mapping):
            flat.update({f"{name}.{inner}": leaf for inner, leaf in settings(value, volatile=True).items()})
        else:
            flat[str(name)] = list(value) if isinstance(value, tuple) else value
    if volatile:
        return flat
    return {key: value for key, value in {**flat, **_group(config, SHORTENED)}.items() if not _is_volatile(key)}


def _group(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = config.get(name)
    return found if isinstance(found, Mapping) else {}


def _is_volatile(key: str) -> bool:
    return key in VOLATILE or key.partition(".")[0] in VOLATILE_GROUPS


def _short(folder: Path) -> str:
    return str(folder) if len(folder.parts) <= 3 else str(Path("...", *folder.parts[-2:]))
