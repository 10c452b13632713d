"""Records of runs: find the folders of runs and read their settings and results."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pyg_samsa.errors import DataIntegrityError, DataNotFoundError
from pyg_samsa.training import run_folder as files
from pyg_samsa.training.run_folder import settings

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
        return {} if self.is_predictor else summary.get(split) or {}

    @property
    def is_predictor(self) -> bool:
        """Whether the run has no network of its own, only a predictor: an ensemble, or models on descriptors."""
        summary = self.summary or {}
        predictor = summary.get("predictor") or {}
        return bool(predictor) and ("members" in predictor or not summary.get("parameters", 1))


def find_run_folders(paths: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """Return the run folders that ``paths`` are or hold, at any depth, each once, in the order given.

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
        # Loggers write files of this name into the folder of a run.
        folders = [folder for folder in inside if not set(folder.parents) & set(inside)]
        if not folders:
            raise DataNotFoundError(
                f"{path}: no run in it", hint=f"The folder of a run holds {files.CONFIG} and {files.SUMMARY}."
            )
        for folder in folders:
            found.setdefault(folder.resolve(), folder)
    return list(found.values())


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
    if not (folder / files.CONFIG).is_file():
        raise DataNotFoundError(f"{folder}: no run in it", hint=f"The folder of a run holds {files.CONFIG}.")
    config, summary = read_config(folder), _read_json(folder / files.SUMMARY)
    everything = settings(config, volatile=True)
    named = (files.PREDICTOR_PREDICTIONS, files.PREDICTIONS)
    path = next((folder / name for name in named if (folder / name).is_file()), folder / files.PREDICTIONS)
    predictions = _read_table(path, rows=MAX_PREDICTIONS + 1)
    return RunRecord(
        folder,
        name=str(everything.get("run_name") or folder.absolute().parent.name),
        seed=int((summary or everything).get("seed", 0)),
        settings=everything,
        volatile=frozenset(everything.keys() - settings(config).keys()),
        summary=summary,
        environment=_read_json(folder / files.ENVIRONMENT) or {},
        history=_read_table(folder / files.METRICS),
        predictions=predictions if predictions is None else predictions[:MAX_PREDICTIONS],
        cut=predictions is not None and len(predictions) > MAX_PREDICTIONS,
    )


def read_config(folder: Path) -> dict[str, Any]:
    r"""Return the configuration of a run.

    Raises:
        DataIntegrityError: It is no YAML mapping.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "config.yaml").write_text("seed: 3\nmetric_best: ap\n")
        >>> read_config(folder)
        {'seed': 3, 'metric_best': 'ap'}
    """
    path = folder / files.CONFIG
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataIntegrityError(path, "a YAML file", "one that cannot be read", hint="Leave this run out.") from error
    if not isinstance(content, dict):
        raise DataIntegrityError(path, "a YAML file of settings", type(content).__name__, hint="Leave this run out.")
    return content


def _natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Order numbers in names by their size."""
    parts = re.findall(r"\d+|\D+", text)
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts)


def _read_json(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataIntegrityError(path, "a JSON file", "one that cannot be read", hint="Leave this run out.") from error


def _read_table(path: Path, *, rows: int | None = None) -> pd.DataFrame | None:
    import pandas as pd

    if not path.is_file():
        return None
    try:
        return pd.read_csv(path, nrows=rows, encoding="utf-8")
    except ValueError as error:
        raise DataIntegrityError(path, "a CSV table", "one that cannot be read", hint="Leave this run out.") from error
