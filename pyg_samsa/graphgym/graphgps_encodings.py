"""Encoders of positional encodings in configurations of GraphGPS: ``posenc_LapPE`` and ``posenc_RWSE``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyg_samsa.errors import ConfigError
from pyg_samsa.functional.laplacian_spectrum import LAPLACIANS, VECTOR_NORMS
from pyg_samsa.graphgym.graphgps_keys import ENCODINGS
from pyg_samsa.options import is_number

if TYPE_CHECKING:
    from pyg_samsa.graphgym.graphgps import Translation

_MODELS = {
    "LapPE": {"DeepSet": "deepset", "Transformer": "transformer"},
    "RWSE": {"Linear": "linear", "MLP": "mlp"},
}
_NORMS = {"none": "none", "batchnorm": "batch"}
_DEFAULTS: dict[str, Any] = {
    "dim_pe": 16,
    "layers": 3,
    "n_heads": 4,
    "post_layers": 0,
    "raw_norm_type": "none",
    "model": "none",
}


_NOT_OF_WALKS = ("n_heads", "post_layers")


def encodings_of_kind(leaves: Mapping[str, Any]) -> list[str]:
    """Return the encodings of GraphGPS that ``pe.kind`` has, for settings without their names in a node encoder.

    Args:
        leaves: Dotted name -> value.

    Example:
        >>> encodings_of_kind({"pe.kind": "spectrum+rwse"}), encodings_of_kind({"pe.kind": "lap"})
        (['LapPE', 'RWSE'], [])
    """
    kinds = str(leaves.get("pe.kind")).split("+")
    return [name for name in _MODELS if ENCODINGS[name] in kinds]


def translate_beside_kind(leaves: Mapping[str, Any], made: Translation, own: Sequence[str]) -> None:
    """Add settings ``posenc_LapPE.*`` and ``posenc_RWSE.*`` beside ``pe.kind``: those that are there, no defaults.

    Args:
        leaves: Dotted name -> value.
        made: The translation.
        own: The encodings that ``pe.kind`` has, see `encodings_of_kind`.

    Raises:
        ConfigError: See `translate_encoders`; or a setting contradicts the one that it becomes.

    Example:
        >>> from pyg_samsa.graphgym.graphgps import Translation
        >>> made = Translation()
        >>> leaves = {"pe.kind": "rwse", "posenc_RWSE.dim_pe": 28, "posenc_RWSE.kernel.times_func": "range(1,9)"}
        >>> translate_beside_kind(leaves, made, encodings_of_kind(leaves))
        >>> {key: taken.value for key, taken in made.settings.items()}
        {'pe.dim': 8, 'pe.channels': 28}
    """
    kind = str(leaves.get("pe.kind"))
    if "LapPE" in own:
        if (source := "posenc_LapPE.eigen.max_freqs") in leaves:
            made.set("pe.dim", leaves[source], source, leaves[source])
        _translate(leaves, made, "LapPE", "pe.", only_given=True)
        _eigen(leaves, made, only_given=True)
    if "RWSE" in own:
        if any(f"posenc_RWSE.kernel.{name}" in leaves for name in ("times", "times_func")):
            made.set("pe.steps" if "+" in kind else "pe.dim", *steps_of_walks(leaves))
        if "LapPE" in own or "+" not in kind:
            _translate(leaves, made, "RWSE", "pe.walk_" if "LapPE" in own else "pe.", only_given=True)
            return
        for name in _DEFAULTS.keys() - set(_NOT_OF_WALKS):
            if (source := f"posenc_RWSE.{name}") in leaves:
                made.note(source, leaves[source], f"with pe.kind {kind}, walks have no encoder of their own")


def steps_of_walks(leaves: Mapping[str, Any]) -> tuple[int, str, Any]:
    """Return the number of steps of the walks, and the setting and the value that say so.

    Args:
        leaves: Dotted name -> value.

    Raises:
        ConfigError: Steps are missing, or do not start at 1 and follow each other.

    Example:
        >>> steps_of_walks({"posenc_RWSE.kernel.times_func": "range(1,17)"})
        (16, 'posenc_RWSE.kernel.times_func', 'range(1,17)')
    """
    text, times = (leaves.get(f"posenc_RWSE.kernel.{name}") for name in ("times_func", "times"))
    if text:
        key, value = "posenc_RWSE.kernel.times_func", text
        found = re.fullmatch(r"\s*range\(\s*1\s*,\s*(\d{1,4})\s*\)\s*", str(text))
        count = int(found[1]) - 1 if found else 0
    else:
        key, value = "posenc_RWSE.kernel.times", times
        count = len(times) if isinstance(times, list) and times == list(range(1, len(times) + 1)) else 0
    if count < 1:
        raise ConfigError(key, value, "steps from 1 on, as in 'range(1,17)' or [1, 2, 3]")
    return count, key, value


def translate_encoders(leaves: Mapping[str, Any], made: Translation, used: Sequence[str]) -> None:
    """Add the settings of the encoders of ``LapPE`` and ``RWSE`` to a translation.

    Args:
        leaves: Dotted name -> value.
        made: The translation.
        used: The encodings in the name of the node encoder.

    Raises:
        ConfigError: There is no such model or norm, or a width is no number above 0.

    Example:
        >>> from pyg_samsa.graphgym.graphgps import Translation
        >>> made = Translation()
        >>> translate_encoders({"posenc_RWSE.model": "Linear", "posenc_RWSE.dim_pe": 28}, made, ["RWSE"])
        >>> {key: taken.value for key, taken in made.settings.items()}
        {'pe.model': 'linear', 'pe.channels': 28, 'pe.norm': 'none'}
    """
    if "LapPE" in used:
        _translate(leaves, made, "LapPE", "pe.")
        _eigen(leaves, made)
    if "RWSE" in used:
        _translate(leaves, made, "RWSE", "pe.walk_" if "LapPE" in used else "pe.")


def _translate(
    leaves: Mapping[str, Any], made: Translation, name: str, prefix: str, *, only_given: bool = False
) -> None:
    """Add the settings of one encoder, whose names here begin with a prefix; all that are there, or what it reads."""
    group, models = f"posenc_{name}", _MODELS[name]
    found = {key: leaves.get(f"{group}.{key}", default) for key, default in _DEFAULTS.items()}
    # A file without a model, which fails there, has the first one.
    by_name = {there.lower(): here for there, here in models.items()} | {"none": next(iter(models.values()))}
    if (model := by_name.get(str(found["model"]).lower())) is None:
        raise ConfigError(f"{group}.model", found["model"], tuple(models))
    if (norm := _NORMS.get(str(found["raw_norm_type"]).lower())) is None:
        raise ConfigError(f"{group}.raw_norm_type", found["raw_norm_type"], ("none", "BatchNorm"))
    if not is_number(found["dim_pe"], whole=True) or found["dim_pe"] < 1:
        hint = f"For a network without this encoding, leave {name} out of dataset.node_encoder_name."
        raise ConfigError(f"{group}.dim_pe", found["dim_pe"], "a number of at least 1", hint=hint)
    chosen = {"model": ("model", model), "dim_pe": ("channels", found["dim_pe"])}
    if only_given or model != "linear":
        chosen["layers"] = ("layers", found["layers"])
    if name == "LapPE" and (only_given or model == "transformer"):
        chosen["n_heads"] = ("heads", found["n_heads"])
    if name == "LapPE":
        chosen["post_layers"] = ("post_layers", found["post_layers"])
    chosen["raw_norm_type"] = ("norm", norm)
    for key, (ours, value) in chosen.items():
        if only_given and f"{group}.{key}" not in leaves:
            continue
        _set(made, leaves, f"{prefix}{ours}", value, f"{group}.{key}")


def _eigen(leaves: Mapping[str, Any], made: Translation, *, only_given: bool = False) -> None:
    """Add the settings of the eigenvectors."""
    laplacian, norm = (f"posenc_LapPE.eigen.{key}" for key in ("laplacian_norm", "eigvec_norm"))
    asked = str(leaves.get(laplacian, "sym")).lower()
    if asked == "rw":
        reason = "the symmetric Laplacian is used; there, half of the entries of an asymmetric one are read"
        made.note(laplacian, leaves[laplacian], reason)
        asked = "sym"
    if asked not in LAPLACIANS:
        raise ConfigError(laplacian, leaves[laplacian], ("none", "sym", "rw"))
    vectors = str(leaves.get(norm, "L2"))
    known = {name.upper() if name in ("l1", "l2") else name: name for name in VECTOR_NORMS}
    if vectors not in known:
        raise ConfigError(norm, leaves[norm], tuple(known))
    for key, value, source in (("pe.laplacian", asked, laplacian), ("pe.vector_norm", known[vectors], norm)):
        if not only_given or source in leaves:
            _set(made, leaves, key, value, source)


def _set(made: Translation, leaves: Mapping[str, Any], key: str, value: Any, source: str) -> None:
    made.set(key, value, source if source in leaves else "", leaves.get(source))
