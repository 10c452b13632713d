"""Several tasks in one configuration: ``tasks`` is a list of configurations that are trained together."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn
from torch_geometric.graphgym.config import CN, cfg

from pyg_samsa.datasets.features import MOLECULES
from pyg_samsa.datasets.molecules.csv_molecules import check_unlabelled, existing_table
from pyg_samsa.errors import ConfigError, SAMSAError
from pyg_samsa.graphgym.checks import check_run, check_training
from pyg_samsa.graphgym.config import LoadedConfig, load_config, resolved, tables_of
from pyg_samsa.graphgym.loader import load_for_runner
from pyg_samsa.graphgym.network_options import asks_for_masked
from pyg_samsa.graphgym.plan import describe_network, make_plan, name_data, training_options
from pyg_samsa.graphgym.repeats import check_one_split
from pyg_samsa.graphgym.settings import value_of, values_for
from pyg_samsa.graphgym.share import describe
from pyg_samsa.graphgym.without_effect import describe_without_effect, why_never
from pyg_samsa.nn.models.multi_task import check_task_name
from pyg_samsa.task import MASKED
from pyg_samsa.training.mixed_network import MixedNetwork, UncertaintyWeights
from pyg_samsa.training.mixed_plan import MONITOR, MixedPlan
from pyg_samsa.training.mixture import MixtureOptions
from pyg_samsa.training.run_plan import RunPlan

_OWN = ("cfg", "name", "weight", "modality")
"""Names in an entry of ``tasks`` that are no settings."""
_OF_THE_RUN = ("tasks", "run_name", "name_tag", "metric_best", "metric_agg", "train.start_from", "train.auto_resume")
_GROUPS_OF_THE_RUN = ("trunk.", "wandb.")
"""Settings of the whole run, which the tasks do not get."""


@dataclass(frozen=True)
class TaskEntry:
    """An entry of ``tasks``.

    Args:
        name: Name of the task.
        config: Name or file of its configuration.
        weight: Weight of its loss, above 0.
        modality: Name of its modality; empty for that of its data.
        settings: Dotted name -> value, for this task only.

    Example:
        >>> TaskEntry("shapes", "small/shapes").weight
        1.0
    """

    name: str
    config: str
    weight: float = 1.0
    modality: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


def read_tasks(entries: Sequence[Any]) -> list[TaskEntry]:
    """Read the setting ``tasks``.

    Args:
        entries: Names of configurations, or tables with ``cfg``, ``name``, ``weight``, ``modality`` and settings.

    Raises:
        ConfigError: An entry is neither, a value is not allowed, or two tasks have the same name.

    Example:
        >>> [entry.name for entry in read_tasks(["small/shapes", {"cfg": "quickstart", "name": "peptides"}])]
        ['shapes', 'peptides']
    """
    found: dict[str, TaskEntry] = {}
    for number, entry in enumerate(entries):
        read = _read_entry(entry, f"tasks[{number}]")
        if read.name in found:
            hint = "Give one of them another name: {cfg: ..., name: ...}."
            raise ConfigError(f"tasks[{number}]", read.name, "a name that no other task has", hint=hint)
        found[read.name] = read
    return list(found.values())


def _read_entry(entry: Any, key: str) -> TaskEntry:
    if isinstance(entry, str):
        entry = {"cfg": entry}
    if not isinstance(entry, Mapping):
        raise ConfigError(key, entry, "the name of a configuration, or a table with cfg, name, weight and settings")
    config = entry.get("cfg")
    if not isinstance(config, str) or not config:
        raise ConfigError(f"{key}.cfg", config, "the name or the file of a configuration")
    name = entry.get("name") or Path(config).stem
    check_task_name(f"{key}.name", name)
    weight, modality = entry.get("weight", 1.0), entry.get("modality", "")
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight < float("inf"):
        raise ConfigError(f"{key}.weight", weight, "a number above 0")
    if not isinstance(modality, str):
        raise ConfigError(f"{key}.modality", modality, "a name")
    settings = {name: value for name, value in entry.items() if name not in _OWN}
    return TaskEntry(name, config, float(weight), modality, dict(_leaves(settings)))


def _leaves(table: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


@dataclass(frozen=True)
class LoadedTask:
    """A task of a mixture, with its data and its settings.

    Args:
        entry: Its entry in ``tasks``.
        loaded: From `load_config`.
        dataset: Its data set.
        config: A copy of GraphGym's ``cfg`` with its settings.

    Example:
        >>> LoadedTask(TaskEntry("shapes", "small/shapes", modality="points"), None, None, cfg).modality
        'points'
    """

    entry: TaskEntry
    loaded: LoadedConfig
    dataset: Any
    config: CN

    @property
    def modality(self) -> str:
        """Name of its modality.

        Example:
            >>> LoadedTask(TaskEntry("shapes", "small/shapes", modality="points"), None, None, cfg).modality
            'points'
        """
        return self.entry.modality or modality_of(self.dataset, self.config)


def modality_of(dataset: Any, config: Mapping[str, Any]) -> str:
    """Return the modality of a data set: ``"molecules"``, ``"points"``, ``"sequences"`` or ``"graphs"``.

    Args:
        dataset: A data set with ``features``.
        config: GraphGym's ``cfg`` with its settings.

    Example:
        >>> from types import SimpleNamespace
        >>> modality_of(SimpleNamespace(features=MOLECULES), cfg)
        'molecules'
    """
    features = dataset.features
    if (features.in_channels, features.edge_channels) == (MOLECULES.in_channels, MOLECULES.edge_channels):
        return "molecules"
    if config["samsa"]["positions"] == "sinusoidal":
        return "sequences"
    return "points" if features.num_dims else "graphs"


def check_tasks(loaded: LoadedConfig) -> None:
    """Check the configurations of all tasks of the present ``cfg``; nothing here needs the data.

    Args:
        loaded: From `load_config`.

    Raises:
        ConfigError: A setting is wrong; the name of the task is in the message.
    """
    check_training()
    for key in ("metric_best", "metric_agg"):
        if key in loaded.given and value_of(key, cfg) != "auto":
            hint = "The mean of the normalised scores of the tasks chooses the epoch. Set it in the entry of a task."
            raise ConfigError(key, value_of(key, cfg), "nothing beside tasks", hint=hint)
    mixture_options()
    _configurations(loaded)


def mixture_options() -> MixtureOptions:
    """Return the options of the mixture that the present ``cfg`` holds.

    Raises:
        ConfigError: They contradict each other.

    Example:
        >>> mixture_options().mixing
        'proportional'
    """
    try:
        return MixtureOptions(**values_for(MixtureOptions, cfg))
    except ConfigError as error:
        raise error.renamed(f"trunk.{error.key}") from None


def load_tasks(loaded: LoadedConfig, *, progress: bool = True) -> list[LoadedTask]:
    """Load the configurations and the data of all tasks of the present ``cfg``, which is the same afterwards.

    The settings of the configuration outside of ``tasks`` hold for all tasks, in place of those of their own files; the
    settings in the entry of a task come last.

    Args:
        loaded: From `load_config`.
        progress: Whether bars are shown while data are prepared.

    Raises:
        ConfigError: A setting is wrong; the name of the task is in the message.
        DataError: The data of a task are missing; likewise.
    """
    found: list[LoadedTask] = []
    configurations = _configurations(loaded)
    with restored():
        for entry, (task, config) in configurations:
            with _named(entry.name):
                put(config)
                dataset = load_for_runner(task.changes, progress=progress)
                found.append(LoadedTask(entry, task, dataset, cfg.clone()))
    return found


def _configurations(loaded: LoadedConfig) -> list[tuple[TaskEntry, tuple[LoadedConfig, CN]]]:
    """Load and check the configurations of all tasks."""
    shared = {
        key: value_of(key, cfg)
        for key in sorted(loaded.given)
        if key not in _OF_THE_RUN and not key.startswith(_GROUPS_OF_THE_RUN)
    }
    entries = read_tasks(cfg.tasks)
    with restored():
        return [(entry, _configured(entry, shared, loaded.name)) for entry in entries]


def _configured(entry: TaskEntry, shared: Mapping[str, Any], run: str) -> tuple[LoadedConfig, CN]:
    """Load and check the configuration of a task."""
    fixed = {"run_name": f"{run}-{entry.name}", "predictor.members": "auto", "samsa.modality_vector": True}
    own: dict[str, Any] = {**shared, **entry.settings, **fixed}
    with _named(entry.name):
        if "tasks" in own:
            raise ConfigError("tasks", own["tasks"], "no tasks in the entry of a task")
        task = load_config(entry.config, [word for pair in own.items() for word in pair])
        if cfg.tasks:
            raise ConfigError("cfg", entry.config, "a configuration of one task; this one has tasks of its own")
        check_run()
        check_one_split()
        _check_table()
        if cfg.model.type != "samsa":
            raise ConfigError(
                "model.type", cfg.model.type, "'samsa': tasks that are trained together share its encoder"
            )
        return task, cfg.clone()


def _check_table() -> None:
    """Look for the table of a task, so that the data of other tasks are not prepared in vain."""
    if (cfg.dataset.format, cfg.dataset.name) == ("samsa", "csv"):
        existing_table(cfg.dataset.csv or "")
        check_unlabelled(MASKED if asks_for_masked() else "", cfg.dataset.target_columns or ())


def make_mixed_plan(
    loaded: LoadedConfig,
    tasks: Sequence[LoadedTask],
    *,
    seed: int,
    draw: Callable[..., None] | None = None,
) -> MixedPlan:
    """Return the plan of a run on several tasks by the present ``cfg``.

    Args:
        loaded: From `load_config`.
        tasks: From `load_tasks`.
        seed: Seed of this run.
        draw: Draws the pictures of the whole run.

    Raises:
        ConfigError: A setting does not fit a task, or tasks that share weights have different settings of them.
    """
    parts: dict[str, RunPlan] = {}
    lines: list[str] = []
    with restored():
        for task in tasks:
            with _named(task.entry.name):
                put(task.config, task.dataset)
                parts[task.entry.name] = plan = make_plan(task.loaded, task.dataset, seed=seed)
                weight = "" if task.entry.weight == 1 else f" · weight {task.entry.weight:g}"
                lines.append(f"{task.entry.name}: {name_data(task.dataset)} · {plan.description['task']}{weight}")
        network = describe_network()
    mixture = mixture_options()
    options = training_options(MONITOR, higher_is_better=True)
    validated = any(part.monitor is not None for part in parts.values())
    description = {"config": str(loaded.path), "tasks": "\n".join(lines), "model": network}
    notes = [f"{task.entry.name}: {note}" for task in tasks for note in task.loaded.changes.notes]
    if notes or loaded.changes.notes:
        description["changed"] = "\n".join([*loaded.changes.notes, *notes])
    return MixedPlan(
        name=loaded.name,
        seed=seed,
        build_network=_NetworkMaker(tasks, parts, mixture),
        monitor=MONITOR if validated else None,
        config=resolved(loaded, {"seed": seed}, tables_of({task.entry.name: task.dataset for task in tasks})),
        defaults=loaded.defaults,
        description=description,
        unused=tuple(describe_without_effect(loaded, why_never)),
        parts=parts,
        weights={task.entry.name: task.entry.weight for task in tasks},
        mixture=mixture,
        draw=draw,
        **options,
    )


@dataclass(frozen=True)
class _NetworkMaker:
    """Makes the network of a mixture: that of each task by its own settings, joined."""

    tasks: Sequence[LoadedTask]
    parts: Mapping[str, RunPlan]
    mixture: MixtureOptions

    def __call__(self) -> nn.Module:
        networks: dict[str, nn.Module] = {}
        with restored():
            for task in self.tasks:
                put(task.config, task.dataset)
                with _named(task.entry.name):
                    networks[task.entry.name] = self.parts[task.entry.name].build_network()
        modalities = {task.entry.name: task.modality for task in self.tasks}
        weights = None
        if self.mixture.loss_weights == "uncertainty":
            weights = UncertaintyWeights(
                {name: part.dataset.task.kind == "regression" for name, part in self.parts.items()}
            )
        share = self.mixture.share_tokenizers
        return MixedNetwork(networks, modalities, share_tokenizers=share, loss_weights=weights)


def put(config: CN, dataset: Any | None = None) -> None:
    """Make a copy of a configuration the present ``cfg``.

    Args:
        config: The configuration.
        dataset: The data set that it describes; None for none.

    Example:
        >>> other = cfg.clone()
        >>> put(other)
        >>> cfg is other, cfg == other
        (False, True)
    """
    cfg.defrost()
    cfg.clear()
    cfg.update(copy.deepcopy(config))
    if dataset is not None:
        describe(dataset)


@contextmanager
def restored() -> Iterator[None]:
    """Put back the present ``cfg`` at the end.

    Example:
        >>> before = cfg.clone()
        >>> with restored():
        ...     cfg.seed = 7
        >>> cfg == before
        True
    """
    before = cfg.clone()
    try:
        yield
    finally:
        describe(None)
        put(before)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Let an error say to which task it belongs."""
    try:
        yield
    except ConfigError as error:
        raise error.renamed(f"task {name}: {error.key}") from None
    except SAMSAError as error:
        error.args = (f"task {name}: {error.args[0]}", *error.args[1:]) if error.args else error.args
        raise
