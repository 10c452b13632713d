"""Encoders of positional encodings in configurations of GraphGPS: ``posenc_LapPE`` and ``posenc_RWSE``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyg_samsa.errors import ConfigError
from pyg_samsa.functional.laplacian_spectrum import LAPLACIANS, VECTOR_NORMS
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


def _translate(leaves: Mapping[str, Any], made: Translation, name: str, prefix: str) -> None:
    """Add the settings of one encoder, whose names here begin with a prefix."""
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
    if model != "linear":
        chosen["layers"] = ("layers", found["layers"])
    if model == "transformer":
        chosen["n_heads"] = ("heads", found["n_heads"])
    if name == "LapPE":
        chosen["post_layers"] = ("post_layers", found["post_layers"])
    chosen["raw_norm_type"] = ("norm", norm)
    for key, (ours, value) in chosen.items():
        _set(made, leaves, f"{prefix}{ours}", value, f"{group}.{key}")


def _eigen(leaves: Mapping[str, Any], made: Translation) -> None:
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
    _set(made, leaves, "pe.laplacian", asked, laplacian)
    _set(made, leaves, "pe.vector_norm", known[vectors], norm)


def _set(made: Translation, leaves: Mapping[str, Any], key: str, value: Any, source: str) -> None:
    made.set(key, value, source if source in leaves else "", leaves.get(source))
