"""The networks ``samsa``, ``bag_of_features`` and ``point_net``, built from GraphGym's configuration."""

from __future__ import annotations

import copy
from typing import Any

from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg

from pyg_samsa.errors import ConfigError
from pyg_samsa.functional.autocast import without_autocast
from pyg_samsa.graphgym.encoding_settings import node_width
from pyg_samsa.graphgym.feature_encoders import read_features
from pyg_samsa.graphgym.network_options import model_options, named_as_settings
from pyg_samsa.graphgym.own_head import level, own_head
from pyg_samsa.graphgym.register import register_once
from pyg_samsa.graphgym.share import graph_features
from pyg_samsa.nn import SAMSA, BagOfFeatures, PointNet
from pyg_samsa.training.batch_network import BatchNetwork
from pyg_samsa.training.scaling import fit_graph_features


class SAMSANetwork(BatchNetwork):
    """Reads ``cfg.samsa`` (and the names that GraphGPS has for the same) and holds a plain ``nn.SAMSA`` as ``model``.

    A registered head of other code (``gnn.head``) takes the place of the readout: it is called with a copy of the batch
    whose ``x`` are the nodes after the encoder, [N, ``samsa.channels``], and returns (prediction, target).

    Nothing of GraphGym re-initialises it, and ``model.state_dict()`` is that of :class:`pyg_samsa.nn.SAMSA`.

    Args:
        dim_in: Width of float node features, if the data set does not describe them.
        dim_out: Width of the output.

    Raises:
        ConfigError: Settings contradict each other.
    """

    def __init__(self, dim_in: int, dim_out: int) -> None:
        options = model_options()
        in_channels, edge_channels, encoders = read_features(dim_in, options["channels"], node_width(options))
        if level() == "node" and options["context"]:
            options["num_categories"] = cfg.share.num_categories
        if level() == "link":
            options["edge_decoding"] = cfg.model.edge_decoding
        towers = 2 if cfg.share.pairs else 1
        options["graph_channels"] = cfg.share.graph_channels
        options["scale_targets"] = cfg.share.task == "regression"
        head = own_head()
        if head is not None:
            if towers > 1:
                raise ConfigError("gnn.head", cfg.gnn.head, "'default' for pairs of documents")
            options["graph_channels"], options["scale_targets"] = 0, False
        if not options["graph_channels"]:
            options |= {"graph_levels": 0, "graph_hidden": None, "graph_dropout": None}
        with named_as_settings(options["attention"]):
            network = SAMSA.from_options(
                in_channels,
                dim_out if head is None else None,
                edge_channels=edge_channels,
                level=level(),
                towers=towers,
                **options,
            )
        super().__init__(network, **encoders)
        self.head = None if head is None else head(dim_in=options["channels"], dim_out=dim_out)
        fit_graph_features(self, *graph_features())

    def forward(self, batch: Any) -> tuple[Any, Any]:
        """Return (prediction, target) of a batch."""
        if self.head is None:
            return super().forward(batch)
        places, named = self.arguments(batch)
        model: Any = self.model
        found = []
        for draw in range(1 if self.training else model.num_eval_samples):
            tokens = model.encode(*places, **named, draw=draw)
            encoded = copy.copy(batch)
            encoded.x = tokens.x.index_select(0, tokens.node_rows)
            with without_autocast(encoded.x):
                found.append(self.head(encoded))
        return sum(prediction for prediction, _ in found) / len(found), found[0][1]


class BagOfFeaturesNetwork(BatchNetwork):
    """The baseline without structure, `pyg_samsa.nn.BagOfFeatures`, with ``samsa.channels`` and ``samsa.dropout``.

    Args:
        dim_in: Width of float node features, if the data set does not describe them.
        dim_out: Width of the output.

    Raises:
        ConfigError: The task is not one of whole graphs.
    """

    def __init__(self, dim_in: int, dim_out: int) -> None:
        if level() != "graph":
            raise ConfigError(
                "model.type",
                "bag_of_features",
                f"a network with predictions for {'pairs of nodes' if level() == 'link' else 'nodes'}",
                hint="This baseline predicts for graphs only.",
            )
        options = model_options()
        in_channels, edge_channels, encoders = read_features(dim_in, options["channels"])
        model = BagOfFeatures(
            in_channels, dim_out, edge_channels=edge_channels, channels=options["channels"], dropout=options["dropout"]
        )
        super().__init__(model, **encoders)


class PointNetNetwork(BatchNetwork):
    """The baseline for point clouds, `pyg_samsa.nn.PointNet`, with ``point_net.width`` and ``samsa.dropout``.

    Args:
        dim_in: Features of a point.
        dim_out: Width of the output.

    Raises:
        ConfigError: The features are not floats, or the task is one of pairs of nodes.
    """

    def __init__(self, dim_in: int, dim_out: int) -> None:
        if level() == "link":
            raise ConfigError("model.type", "point_net", "a network with predictions for pairs of nodes")
        channels = cfg.share.in_channels if cfg.share.in_channels is not None else dim_in
        if not isinstance(channels, int):
            raise ConfigError(
                "model.type",
                "point_net",
                "a network for categorical features",
                hint="This baseline takes coordinates and normals.",
            )
        categories = cfg.share.num_categories if level() == "node" else 0
        options = {"width": cfg.point_net.width, "dropout": cfg.samsa.dropout, "num_categories": categories}
        super().__init__(PointNet(channels, dim_out, level=level(), **options))


register_once(register.network_dict, "bag_of_features", BagOfFeaturesNetwork)
register_once(register.network_dict, "point_net", PointNetNetwork)
