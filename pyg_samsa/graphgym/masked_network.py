"""The network ``samsa`` of GraphGym's configuration, with labels and without."""

from __future__ import annotations

from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg

from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.encoding_settings import node_width
from pyg_samsa.graphgym.feature_encoders import BUILT_IN_ENCODERS
from pyg_samsa.graphgym.network import SAMSANetwork
from pyg_samsa.graphgym.network_options import OF_READOUT, edges_are_tokens, model_options, named_as_settings
from pyg_samsa.graphgym.register import register_once
from pyg_samsa.graphgym.settings import values_for
from pyg_samsa.nn import SAMSA, MaskedEncoder, SAMSAOptions
from pyg_samsa.nn.encoding.feature_encoder import Features, make_encoder
from pyg_samsa.task import MASKED
from pyg_samsa.training.batch_network import BatchNetwork
from pyg_samsa.training.masked import Column, MaskedNetwork, MaskOptions, columns_of, width_of


def make_samsa(dim_in: int, dim_out: int) -> BatchNetwork:
    """Return the network ``samsa``: `SAMSANetwork`, or a `MaskedNetwork` for ``dataset.task_type masked``.

    Args:
        dim_in: Width of float node features, if the data set does not describe them.
        dim_out: Width of the output.

    Raises:
        ConfigError: Settings contradict each other.
    """
    return _masked_network() if cfg.share.task == MASKED else SAMSANetwork(dim_in, dim_out)


def masked_columns(in_channels: Features | None, edge_channels: Features | None) -> tuple[list[Column], list[Column]]:
    """Return the features of nodes and of edges that may be hidden; those of edges only if edges are tokens.

    Args:
        in_channels: Features of the nodes of the data set.
        edge_channels: Features of its edges; None for none.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> masked_columns([5, 3], 2)
        ([5, 3], [None, None])
    """
    return columns_of(in_channels), columns_of(edge_channels) if edges_are_tokens() else []


def _masked_network() -> MaskedNetwork:
    for kind in ("node", "edge"):
        if cfg.dataset[f"{kind}_encoder"] and cfg.dataset[f"{kind}_encoder_name"] not in BUILT_IN_ENCODERS:
            raise ConfigError(f"dataset.{kind}_encoder", True, "False, because features are hidden (task_type masked)")
    options = model_options()
    without = SAMSAOptions()
    options |= {name: getattr(without, name) for name in (*OF_READOUT, "graph_channels", "scale_targets")}
    in_channels, edge_channels, channels = cfg.share.in_channels, cfg.share.edge_channels, options["channels"]
    of_nodes, of_edges = masked_columns(in_channels, edge_channels)
    width = node_width(options)
    nodes = MaskedEncoder(make_encoder("in_channels", in_channels, width), len(of_nodes), width)
    edges = edge_channels
    if of_edges:
        edges = MaskedEncoder(make_encoder("edge_channels", edge_channels, channels), len(of_edges), channels)
    options |= {"level": "token" if of_edges else "node", "towers": 1}
    with named_as_settings(options["attention"]):
        model = SAMSA.from_options(nodes, width_of([*of_nodes, *of_edges]), edge_channels=edges, **options)
    return MaskedNetwork(model, of_nodes, MaskOptions(**values_for(MaskOptions, cfg)), edge_columns=of_edges)


register_once(register.network_dict, "samsa", make_samsa)
