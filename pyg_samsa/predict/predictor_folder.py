"""Folders of saved predictors: a description in JSON, and a folder for each member. Nothing in them is executed.

=====================  =================================================================================================
``predictor.json``     ``format``; ``task``; ``members``, a list of ``name``, ``kind`` (``network``, ``trees``
                       or ``gp``), ``folder`` and ``weights`` (one per target); ``metrics``, split -> name -> value;
                       ``calibration``, see :class:`pyg_samsa.predict.conformal.Calibration`; ``versions``
``network_0/``, ...    saved networks, see :func:`pyg_samsa.hub.save_pretrained`
``trees_0/``, ...      saved trees, see :meth:`pyg_samsa.predict.BoostedTrees.save`
``gp_0/``, ...         saved processes, see :meth:`pyg_samsa.predict.GaussianProcess.save`
=====================  =================================================================================================
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError
from pyg_samsa.hub import find_pretrained, save_pretrained
from pyg_samsa.hub.folder import (
    CONFIG,
    COPY_AGAIN,
    PREDICTOR,
    PREDICTOR_SUBFOLDER,
    RUN_SUBFOLDER,
    is_replaceable,
    refuse_unsaved,
)
from pyg_samsa.hub.json_file import read_json, write_json
from pyg_samsa.hub.model_config import package_versions
from pyg_samsa.io.files import atomic_directory, file_hash
from pyg_samsa.predict.blend_predictor import BlendPredictor
from pyg_samsa.predict.conformal import Calibration
from pyg_samsa.predict.descriptor_predictor import DescriptorPredictor
from pyg_samsa.predict.devices import find_device
from pyg_samsa.predict.interface import Predictor
from pyg_samsa.predict.predictor import TOKENS_PER_BATCH, MoleculePredictor
from pyg_samsa.task import Task

FORMAT = 1
_RUN = "environment.json"
KINDS = ("network", "trees", "gp")
"""The kinds of members that a folder can hold."""
# Folders inside that of an experiment, whose names say nothing.
_INNER = re.compile(r"model|predictor|refit|members|\d+(-\d+)?")


def find_predictor(name: str | os.PathLike[str]) -> Path:
    """Return the folder of a saved predictor, or else of a saved network.

    Args:
        name: The folder itself, the folder of a run, a folder of one run such as ``results/esol`` or ``results``, or
            the name of a model that comes with the package.

    Raises:
        DataNotFoundError: There is no such predictor or network, or the folder holds several runs.

    Example:
        >>> find_predictor("peptides").name
        'peptides'
    """
    given = Path(name).expanduser()
    for folder in (given, given / PREDICTOR_SUBFOLDER):
        if (folder / PREDICTOR).is_file():
            return folder
    runs = _runs_in(given)
    if len(runs) > 1:
        shown = ", ".join(str(path.relative_to(given)) for path in runs[:5]) + (", ..." if len(runs) > 5 else "")
        hint = f"Write one of them in place of {name}, such as the newest: {runs[-1]}"
        raise DataNotFoundError(f"{name}: {len(runs)} runs ({shown}), and one is needed", hint=hint)
    unsaved = [path for place in (_RUN, f"*/{_RUN}") for path in given.glob(place)] if given.is_dir() else []
    if not runs and not _holds_network(given) and unsaved:
        hint = "Networks samsa for molecules are saved; the header of a run says why its network is not."
        told = f"{name}: no saved model found (the network of the run is not saved)"
        raise refuse_unsaved(name) or DataNotFoundError(told, hint=hint)
    return find_predictor(runs[0]) if runs else find_pretrained(name)


def name_of_model(model: str) -> str:
    """Return the name of a model for headlines: of a folder in a run, the name of the experiment.

    Example:
        >>> name_of_model("results/logp/0"), name_of_model("results/logp/0-2/model"), name_of_model("peptides")
        ('logp', 'logp', 'peptides')
    """
    folder = Path(model).expanduser().resolve()
    names = (place.name for place in (folder, *folder.parents))
    return next((name for name in names if name and not _INNER.fullmatch(name)), folder.name)


def _runs_in(folder: Path) -> list[Path]:
    """Return the runs with a saved model below a folder without one, such as ``results/esol``, oldest first."""
    if not folder.is_dir() or _holds_network(folder):
        return []
    saved = (f"{PREDICTOR_SUBFOLDER}/{PREDICTOR}", f"{RUN_SUBFOLDER}/{CONFIG}")
    for depth in ("*", "*/*"):
        found = {path.parents[1] for name in saved for path in folder.glob(f"{depth}/{name}")}
        if found:
            return sorted(found, key=lambda path: (path.stat().st_mtime, path.name))
    return []


def _holds_network(folder: Path) -> bool:
    return any((place / CONFIG).is_file() for place in (folder, folder / RUN_SUBFOLDER))


def load_predictor(
    name: str | os.PathLike[str],
    *,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    device: str | torch.device = "cpu",
    threads: int = 1,
) -> Predictor:
    """Load a predictor: the blend of a run if it has one, else its network.

    Args:
        name: Folder of a predictor, of a run or of a saved network, or name of a model that comes with the package.
        tokens_per_batch: Number of atoms and directed bonds in a batch of a network.
        device: Device of the networks.
        threads: Number of threads of trees and Gaussian processes.

    Raises:
        DataNotFoundError: There is no such predictor, or a file is missing.
        DataIntegrityError: A file is damaged.
        ConfigError: A member does not read molecules, or was saved without a task, or there is no such device.
        MissingDependencyError: LightGBM is not installed, and a member consists of trees.

    Example:
        >>> load_predictor("peptides").target_names
        ['antimicrobial', 'anticancer', 'transmembrane']
    """
    device = find_device(device)
    folder = find_predictor(name)
    if not (folder / PREDICTOR).is_file():
        return MoleculePredictor.from_network(folder, tokens_per_batch=tokens_per_batch, device=device)
    path = folder / PREDICTOR
    content = read_json(path, FORMAT)
    members: list[Predictor] = []
    for described in _members(content, path):
        if described["kind"] == "network":
            options: dict[str, Any] = {"tokens_per_batch": tokens_per_batch, "device": device}
            members.append(MoleculePredictor.from_network(folder / described["folder"], **options))
        else:
            members.append(DescriptorPredictor.from_pretrained(folder / described["folder"], threads=threads))
    calibration = content.get("calibration")
    try:
        blend = BlendPredictor(
            members,
            [described["weights"] for described in content["members"]],
            names=[str(described.get("name", "")) for described in content["members"]],
            metrics=content.get("metrics"),
            calibration=None
            if calibration is None
            else Calibration.from_dict(calibration, origin=f"{path}: calibration"),
        )
    except (ConfigError, TypeError, ValueError) as error:
        raise DataIntegrityError(
            path, "members of one task with convex weights", f"{error}", hint=COPY_AGAIN
        ) from error
    if Task.from_dict(content.get("task"), origin=f"{path}: task").names != blend.task.names:
        raise DataIntegrityError(path, "the task of its members", "another one", hint=COPY_AGAIN)
    blend.limits = str(content.get("limits") or "")
    hashes = [file_hash(path), *(member.fingerprint for member in members)]
    blend.fingerprint = hashlib.sha256("".join(hashes).encode()).hexdigest()
    return blend


MoleculePredictor._load = staticmethod(load_predictor)


def save_predictor(predictor: Predictor, folder: str | os.PathLike[str]) -> Path:
    """Write a predictor to a folder, atomically, see `pyg_samsa.predict.predictor_folder`.

    Members of weight 0 are left out.

    Args:
        predictor: A blend, or a single member.
        folder: Folder to write. An earlier predictor in it is replaced; any other content is an error.

    Returns:
        ``folder``.

    Raises:
        ConfigError: The folder holds something else, or a member is neither a network nor a model on descriptors.
        MissingDependencyError: The trees are scikit-learn's.

    Example:
        >>> import tempfile
        >>> folder = save_predictor(MoleculePredictor.from_pretrained("peptides"), tempfile.mkdtemp())
        >>> sorted(path.name for path in folder.iterdir()), load_predictor(folder).names
        (['network_0', 'predictor.json'], ['network'])
    """
    target = Path(folder)
    if not is_replaceable(target, PREDICTOR, allowed=()):
        raise ConfigError("folder", str(target), "a new or empty folder, or one that holds a saved predictor")
    if not isinstance(predictor, BlendPredictor):
        single = predictor
        predictor = BlendPredictor([single], [1.0], names=[kind_of(single)], metrics=single.metrics)
        predictor.limits = single.limits
    described: list[dict[str, Any]] = []
    with atomic_directory(target, overwrite=True) as temporary:
        for member, name, weights in zip(predictor.members, predictor.names, predictor.weights, strict=True):
            if not weights.any():
                continue
            kind = kind_of(member)
            place = f"{kind}_{sum(other['kind'] == kind for other in described)}"
            if isinstance(member, MoleculePredictor):
                names = ("task", "descriptors", "extra_columns", "standardize")
                save_pretrained(member.model, temporary / place, **{key: getattr(member, key) for key in names})
            elif isinstance(member, DescriptorPredictor):
                member.model.save(temporary / place)
            described.append({"name": name, "kind": kind, "folder": place, "weights": weights.tolist()})
        content = {
            "format": FORMAT,
            "task": predictor.task.as_dict(),
            "members": described,
            "metrics": predictor.metrics,
            "limits": predictor.limits,
            "calibration": None if predictor.calibration is None else predictor.calibration.as_dict(),
            "versions": package_versions(),
        }
        write_json(temporary / PREDICTOR, content)
    return target


def kind_of(member: Predictor) -> str:
    """Return the name of the kind of a member, see :data:`KINDS`.

    Raises:
        ConfigError: It is none of them.

    Example:
        >>> kind_of(MoleculePredictor.from_pretrained("peptides"))
        'network'
    """
    if isinstance(member, MoleculePredictor):
        return "network"
    if isinstance(member, DescriptorPredictor):
        return member.model.kind
    raise ConfigError("member", type(member).__name__, "a MoleculePredictor or a DescriptorPredictor")


def _members(content: Mapping[str, Any], path: Path) -> list[dict[str, Any]]:
    """Return the descriptions of the members, checked before any of their files is read."""
    found = content.get("members")
    if not isinstance(found, list) or not found:
        raise DataIntegrityError(path, "a list of members", repr(found)[:80], hint=COPY_AGAIN)
    for described in found:
        fits = isinstance(described, dict) and described.get("kind") in KINDS and "weights" in described
        folder = described.get("folder") if fits else None
        if not isinstance(folder, str) or folder in ("", ".", "..") or Path(folder).name != folder:
            expected = f"members with name, kind ({' or '.join(KINDS)}), folder and weights"
            raise DataIntegrityError(path, expected, repr(described)[:80], hint=COPY_AGAIN)
    return found
