"""Graphormer and SAN in configurations of GraphGPS: their networks, and encodings of Graphormer in blocks of GPS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyg_samsa.errors import ConfigError, check_choice
from pyg_samsa.graphgym import graphgps_keys as table
from pyg_samsa.graphgym.settings import LAYERS_OF_HEAD
from pyg_samsa.options import is_number

if TYPE_CHECKING:
    from pyg_samsa.graphgym.graphgps import Translation

_ENCODER = "dataset.node_encoder_name"
_OF_BIAS = ("num_spatial_types", "num_in_degrees", "num_out_degrees", "node_degrees_only")
_OF_ENCODING = ("graphormer.use_graph_token", "graphormer.input_dropout")
# What Graphormer does not read, beside the settings of GPS.
_UNUSED = ("gnn.dim_inner", "gnn.dropout", "gnn.layers_mp", "gnn.residual")


def translate_graphormer(leaves: Mapping[str, Any], made: Translation) -> None:
    """Add the settings of the network ``Graphormer`` to a translation.

    Args:
        leaves: Dotted name -> value.
        made: The translation, which holds the settings that stay as they are.

    Raises:
        ConfigError: ``gnn.dim_inner`` is not ``graphormer.embed_dim``.

    Example:
        >>> from pyg_samsa.graphgym.graphgps import Translation
        >>> made = Translation()
        >>> translate_graphormer({}, made)
        >>> {key: taken.value for key, taken in made.settings.items()}
        {'model.type': 'graphormer'}
    """
    made.set("model.type", "graphormer", "model.type", "Graphormer")
    check_width("graphormer.embed_dim", leaves)
    of_head, of_layers = leaves.get("gnn.dropout", 0.0), leaves.get("graphormer.dropout", 0.0)
    fixed, layers = str(leaves.get("gnn.head")) in LAYERS_OF_HEAD, leaves.get("gnn.layers_post_mp", 0)
    if of_head != of_layers and not fixed and is_number(layers) and layers > 1:
        made.note("gnn.dropout", of_head, f"the head has graphormer.dropout ({of_layers})")
    for key in [key for key in made.settings if key.startswith("gt.") or key in _UNUSED]:
        del made.settings[key]


def translate_san(leaves: Mapping[str, Any], made: Translation) -> None:
    """Add the settings of the network ``SANTransformer`` to a translation.

    Args:
        leaves: Dotted name -> value.
        made: The translation, which holds the settings that stay as they are and the defaults of GraphGPS.

    Raises:
        ConfigError: There is no such layer, or ``gnn.dim_inner`` is not ``gt.dim_hidden``.

    Example:
        >>> from pyg_samsa.graphgym.graphgps import Translation
        >>> made = Translation()
        >>> translate_san({"gt.layer_type": "SAN2Layer"}, made)
        >>> {key: taken.value for key, taken in made.settings.items()}
        {'model.type': 'san2', 'gnn.residual': True}
    """
    key = "gt.layer_type"
    layer = str(leaves.get(key, "SANLayer"))
    check_choice(key, layer, tuple(table.LAYERS_OF_SAN))
    ours = table.LAYERS_OF_SAN[layer]
    made.set("model.type", ours, key if key in leaves else "model.type", layer if key in leaves else "SANTransformer")
    check_width("gt.dim_hidden", leaves)
    residual = leaves.get("gt.residual", True)
    made.set("gnn.residual", residual, "gt.residual" if "gt.residual" in leaves else "", residual)
    weighs = ours == "san" and leaves.get("gt.full_graph", True)
    for unused in ("gt.attn_dropout", *(() if weighs else ("gt.gamma",))):
        made.settings.pop(unused, None)


def check_width(key: str, leaves: Mapping[str, Any]) -> None:
    """Refuse channels that are not ``gnn.dim_inner``.

    Args:
        key: The setting of the channels.
        leaves: Dotted name -> value.

    Raises:
        ConfigError: Both are there and differ.

    Example:
        >>> check_width("gt.dim_hidden", {"gt.dim_hidden": 8, "gnn.dim_inner": 8})
    """
    if {key, "gnn.dim_inner"} <= set(leaves) and leaves[key] != leaves["gnn.dim_inner"]:
        raise ConfigError(key, leaves[key], f"gnn.dim_inner ({leaves['gnn.dim_inner']})")


def translate_bias(leaves: Mapping[str, Any], made: Translation, used: Sequence[str]) -> bool:
    """Add the settings of the encodings ``GraphormerBias`` to a translation, and say whether the network reads them.

    The name of the node encoder has them in files of GraphGPS. Networks of this package have them without a name.

    Args:
        leaves: Dotted name -> value.
        made: The translation, with its network.
        used: The encodings in the name of the node encoder.

    Raises:
        ConfigError: The network needs these encodings and the name does not have them, or the other way round; or
            their heads are not those of the attention.

    Example:
        >>> from pyg_samsa.graphgym.graphgps import translate
        >>> leaves = {"model.type": "Graphormer", "dataset.node_encoder_name": "LinearNode+GraphormerBias"}
        >>> leaves |= {"posenc_GraphormerBias.enable": True, "posenc_GraphormerBias.num_in_degrees": 9}
        >>> translate(leaves).settings["graphormer.num_in_degrees"].value
        9
        >>> leaves = {"model.type": "graphormer", "posenc_GraphormerBias.num_in_degrees": 8}
        >>> translate(leaves).settings["graphormer.num_in_degrees"].value
        8
    """
    network, layer = (str(getattr(made.settings.get(key), "value", "")) for key in ("model.type", "gt.layer_type"))
    foreign = str(leaves.get("model.type")) in table.NETWORKS
    needs = network == "graphormer" or layer.endswith("+BiasedTransformer")
    if table.BIAS in used and not needs:
        hint = f"Leave {table.BIAS} out of the name, or use gt.layer_type GINE+BiasedTransformer, or Graphormer."
        expected = "no biases with this network, which does not read them"
        raise ConfigError(_ENCODER, leaves[_ENCODER], expected, hint=hint)
    without_name = not foreign or ("model.type" in made.typed and _ENCODER not in leaves)
    if needs and table.BIAS not in used and not without_name:
        hint = f"For example: LinearNode+{table.BIAS}, with posenc_{table.BIAS}.enable True."
        expected = f"a name with {table.BIAS}, which this network reads"
        raise ConfigError(_ENCODER, leaves.get(_ENCODER), expected, hint=hint)
    for name in _OF_BIAS if needs else ():
        if (source := f"posenc_{table.BIAS}.{name}") in leaves:
            made.set(f"graphormer.{name}", leaves[source], source, leaves[source])
    if network == "graphormer" or not foreign:
        return needs
    heads = "graphormer.num_heads"
    if needs and heads in leaves and leaves[heads] != made.settings["gt.n_heads"].value:
        raise ConfigError(heads, leaves[heads], f"gt.n_heads ({made.settings['gt.n_heads'].value})")
    kept = (*_OF_ENCODING, *(f"graphormer.{name}" for name in _OF_BIAS)) if needs else ()
    for key in [key for key in made.settings if key.startswith("graphormer.") and key not in kept]:
        del made.settings[key]
    return needs
