"""Records of runs: find the folders of runs and read their settings and results."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyg_samsa.errors import DataIntegrityError, DataNotFoundError
from pyg_samsa.task import UNLISTED, Task
from pyg_samsa.training import run_folder as files
from pyg_samsa.training.run_files import (
    NOT_WRITTEN_AGAIN,
    WRITTEN_AGAIN,
    check_summary,
    own_file,
    read_mapping,
    read_table,
)
from pyg_samsa.training.run_folder import SHORTENED, settings

if TYPE_CHECKING:
    import pandas as pd

MAX_PREDICTIONS = 500_000


@dataclass(frozen=True)
class RunRecord:
    """The content of the folder of a run; what is missing is None or empty.

    Args:
        path: The folder.
        name: Name of the experiment.
        seed: Seed of the run.
        settings: Dotted name -> value.
        volatile: Names of the settings that only say where and for how long the run was trained.
        summary: Content of ``summary.json``, None for a run that did not finish.
        environment: Versions and hardware.
        history: One row per epoch, None before the first one ended.
        predictions: Test predictions, those of the saved predictor if there is one; or None.
        cut: Whether there are more predictions than were read.
        standardized: The molecules of the data set that the standardisation changed, the first
            :data:`MAX_PREDICTIONS`; None without a list.

    Example:
        >>> RunRecord(Path("results/demo/0"), "demo", 0, {"optim.base_lr": 0.1}).settings["optim.base_lr"]
        0.1
    """

    path: Path
    name: str
    seed: int
    settings: Mapping[str, Any]
    volatile: frozenset[str] = frozenset()
    summary: Mapping[str, Any] | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)
    history: pd.DataFrame | None = None
    predictions: pd.DataFrame | None = None
    cut: bool = False
    standardized: pd.DataFrame | None = None

    @property
    def metric(self) -> str:
        """Name of the metric that chose the best epoch.

        Example:
            >>> RunRecord(Path("results/demo/0"), "demo", 0, {}, summary={"monitor": "val_ap"}).metric
            'ap'
        """
        monitor = (self.summary or {}).get("monitor") or ""
        given = str(self.settings.get("metric_best", "auto"))
        return monitor.removeprefix("val_") or (given if given != "auto" else "loss")

    def scores(self, split: str, by: str = "network") -> Mapping[str, float]:
        """Return the metrics of a split; empty if there are none.

        Args:
            split: ``"train"``, ``"val"`` or ``"test"``.
            by: ``"network"``: of the run's own network; ``"predictor"``: of the saved predictor.

        Example:
            >>> summary = {"test": {"mae": 0.5}, "predictor": {"scores": {"predictor": {"test": {"mae": 0.4}}}}}
            >>> run = RunRecord(Path("results/demo/0"), "demo", 0, {}, summary=summary)
            >>> run.scores("test"), run.scores("test", "predictor"), run.scores("val")
            ({'mae': 0.5}, {'mae': 0.4}, {})
        """
        summary = self.summary or {}
        if by == "predictor":
            return summary.get("predictor", {}).get("scores", {}).get("predictor", {}).get(split, {})
        found = {} if self.is_predictor else summary.get(split) or {}
        # Those of single tasks are in the records of their own folders.
        return {name: value for name, value in found.items() if "/" not in name} if self.is_mixture else found

    @property
    def is_mixture(self) -> bool:
        """Whether the run was on several tasks, whose folders are records of their own.

        Example:
            >>> RunRecord(Path("results/trunk/0"), "trunk", 0, {}, summary={"tasks": {}}).is_mixture
            True
        """
        return "tasks" in (self.summary or {})

    @property
    def writes_predictions(self) -> bool:
        """Whether the run has test predictions of its own; one on several tasks, without labels, or on words has none.

        Example:
            >>> RunRecord(Path("results/trunk/0"), "trunk", 0, {}, summary={"tasks": {}}).writes_predictions
            False
        """
        task = (self.summary or {}).get("task") or {}
        return not self.is_mixture and task.get("kind") not in UNLISTED

    @property
    def is_predictor(self) -> bool:
        """Whether the run has no network of its own, only a predictor: an ensemble, or models on descriptors."""
        summary = self.summary or {}
        predictor = summary.get("predictor") or {}
        return bool(predictor) and ("members" in predictor or not summary.get("parameters", 1))


def find_run_folders(paths: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """Return the run folders that ``paths`` are or hold, at any depth, each once, in the order given.

    A run on several tasks is followed by the folders of its tasks.

    Args:
        paths: Folders of runs, of seeds, or parents of such.

    Raises:
        DataNotFoundError: A path does not exist, or holds no run.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> for seed in ("0", "10", "2"):
        ...     (root / "demo" / seed).mkdir(parents=True)
        ...     _ = (root / "demo" / seed / "config.yaml").write_text("seed: 0")
        >>> [folder.name for folder in find_run_folders([root, root / "demo" / "2"])]
        ['0', '2', '10']
    """
    found: dict[Path, Path] = {}
    for path in map(Path, paths):
        if not path.is_dir():
            raise DataNotFoundError(
                f"{path}: no such folder",
                hint="Pass the folder of a run, such as results/quickstart/0, or a folder that contains runs.",
            )
        inside = [
            file.parent
            for file in sorted(path.rglob(files.CONFIG), key=lambda file: [_natural(part) for part in file.parts])
        ]
        known = set(inside)
        folders = [folder for folder in inside if not set(folder.parents) & known or _is_task(folder, known)]
        if not folders:
            raise DataNotFoundError(
                f"{path}: no run in it", hint=f"The folder of a run holds {files.CONFIG} and {files.SUMMARY}."
            )
        for folder in folders:
            found.setdefault(folder.resolve(), folder)
    return list(found.values())


def _is_task(folder: Path, runs: Set[Path]) -> bool:
    """Say whether a folder within that of a run is one of its tasks; loggers write files of the same names there."""
    return folder.parent.name == files.TASKS and folder.parents[1] in runs


def read_run(path: str | os.PathLike[str]) -> RunRecord:
    r"""Read the folder of a run; of very many test predictions the first :data:`MAX_PREDICTIONS` are read.

    Args:
        path: Folder that holds ``config.yaml``.

    Raises:
        DataNotFoundError: There is no run.
        DataIntegrityError: A file of it is damaged.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "config.yaml").write_text("seed: 3\nmetric_best: ap\n")
        >>> run = read_run(folder)
        >>> run.seed, run.metric, run.summary is None
        (3, 'ap', True)
    """
    folder = Path(path)
    config, summary = read_config(folder), read_mapping(folder / files.SUMMARY)
    check_summary(folder / files.SUMMARY, summary or {})
    everything = settings(config, volatile=True)
    named = (files.PREDICTOR_PREDICTIONS, files.PREDICTIONS)
    path = next((folder / name for name in named if own_file(folder / name)), folder / files.PREDICTIONS)
    predictions = read_table(path, rows=MAX_PREDICTIONS + 1)
    if predictions is not None:
        _check_predictions(path, predictions, (summary or {}).get("task"))
    return RunRecord(
        folder,
        name=str(everything.get("run_name") or folder.absolute().parent.name),
        seed=int((summary or everything).get("seed", 0)),
        settings=everything,
        volatile=frozenset(everything.keys() - settings(config).keys()),
        summary=summary,
        environment=read_mapping(folder / files.ENVIRONMENT) or {},
        history=read_table(folder / files.METRICS, numeric=True),
        predictions=predictions if predictions is None else predictions[:MAX_PREDICTIONS],
        cut=predictions is not None and len(predictions) > MAX_PREDICTIONS,
        standardized=read_table(folder / files.STANDARDIZED, rows=MAX_PREDICTIONS),
    )


def _check_predictions(path: Path, table: pd.DataFrame, saved: Mapping[str, Any] | None) -> None:
    """Check that a table of predictions has the columns of its task, with numbers."""
    import pandas as pd

    names = [str(column).removesuffix("_pred") for column in table if str(column).endswith("_pred")]
    classes = {"true", "pred"} <= set(table)
    if saved is not None:
        task = Task.from_dict(saved, origin=f"{path.parent / files.SUMMARY}: task")
        names, classes = list(task.names), task.kind == "multiclass"
    wanted = ["row", *(f"{name}_pred" for name in names), *(["true", "pred"] if classes else [])]
    wanted += [] if classes else [f"{name}_true" for name in names]
    for column in wanted:
        if column not in table:
            raise DataIntegrityError(path, f"the column {column}", "none", hint=WRITTEN_AGAIN)
        if not pd.api.types.is_numeric_dtype(table[column]):
            raise DataIntegrityError(path, "numbers", f"texts in the column {column!r}", hint=WRITTEN_AGAIN)


def read_config(folder: Path) -> dict[str, Any]:
    r"""Return the configuration of a run.

    Raises:
        DataNotFoundError: It is not there.
        DataIntegrityError: It is no YAML mapping.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "config.yaml").write_text("seed: 3\nmetric_best: ap\n")
        >>> read_config(folder)
        {'seed': 3, 'metric_best': 'ap'}
    """
    path = folder / files.CONFIG
    content = read_mapping(path, hint=NOT_WRITTEN_AGAIN)
    if content is None:
        raise DataNotFoundError(f"{folder}: no run in it", hint=f"The folder of a run holds {files.CONFIG}.")
    if not isinstance(content.get(SHORTENED) or {}, dict) or not isinstance(content.get("seed", 0), int):
        raise DataIntegrityError(path, "settings of a run", "other values", hint=NOT_WRITTEN_AGAIN)
    return content


def _natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Order numbers in names by their size."""
    parts = re.findall(r"\d+|\D+", text)
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts)
