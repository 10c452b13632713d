"""Settings of GraphGym's configuration: which class or function feeds which group, and the names of GraphGPS.

An option is declared beside its owner (see `pyg_samsa.options`) and becomes a setting by `add_owner`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType, UnionType
from typing import Any, Union, get_args, get_origin

from pyg_samsa.datasets.dataset_registry import dataset_options
from pyg_samsa.datasets.encodings import add_encoding
from pyg_samsa.datasets.molecule_descriptors import add_descriptors
from pyg_samsa.datasets.scaled_features import add_feature_scale
from pyg_samsa.io.worker_pool import MOST
from pyg_samsa.nn import TOKENIZERS, SAMSAOptions
from pyg_samsa.nn.conv.operators import OPERATORS
from pyg_samsa.nn.encoding.graphormer_encoding import GraphormerEncoding
from pyg_samsa.nn.encoding.joined_encoder import EncodingOptions
from pyg_samsa.nn.models.gnn_blocks import NO_LOCAL, local_names
from pyg_samsa.nn.models.point_net import PointNet
from pyg_samsa.nn.models.samsa_options import OPERATOR_ARGUMENTS
from pyg_samsa.nn.pair_decoder import EDGE_DECODINGS
from pyg_samsa.options import Argument, Option, options_of, plain
from pyg_samsa.predict.boosted_trees import BoostingOptions
from pyg_samsa.predict.gaussian_process import GaussianProcessOptions
from pyg_samsa.predict.predictor_options import GP_INPUTS, TREE_INPUTS, PredictorOptions
from pyg_samsa.training import losses, schedulers
from pyg_samsa.training.adaptation import AdaptationOptions
from pyg_samsa.training.loggers import WandbOptions
from pyg_samsa.training.masked import MaskOptions
from pyg_samsa.training.mixture import MixtureOptions
from pyg_samsa.training.optimizers import adamw
from pyg_samsa.training.samplers import BatchOptions
from pyg_samsa.training.start_from import start_from
from pyg_samsa.training.trainer import TrainerOptions


@dataclass(frozen=True)
class Setting:
    """A setting of GraphGym's configuration and the argument that it feeds.

    Attributes:
        key: Dotted name, such as ``optim.base_lr``.
        argument: Type, help and allowed values.
        default: Default of the setting.
        added: Whether this package adds it; otherwise it is one of GraphGym's own.
    """

    key: str
    argument: Argument
    default: Any
    added: bool = True

    @property
    def option(self) -> Option:
        """Help and allowed values."""
        return self.argument.option

    @property
    def types(self) -> tuple[type, ...]:
        """Types of its value."""
        kinds = get_args(self.argument.type) if _is_union(self.argument.type) else (self.argument.type,)
        plain = tuple(_PLAIN.get(get_origin(kind) or kind, str) for kind in kinds)
        return plain + ((type(None),) if self.default is None and type(None) not in plain else ())

    def check(self, value: Any) -> None:
        """Check a value.

        Raises:
            ConfigError: The value is not allowed.

        Example:
            >>> SETTINGS["optim.batch_accumulation"].check(4)
        """
        if value != self.default:
            self.argument.check(value, key=self.key)


_PLAIN = {bool: bool, int: int, float: float, str: str, type(None): type(None), list: list, tuple: list, Sequence: list}
SETTINGS: dict[str, Setting] = {}
"""Every setting that has a meaning here, by its key."""
_KEYS: dict[Callable[..., Any], dict[str, str]] = {}


def add_owner(
    owner: Callable[..., Any],
    group: str = "",
    *,
    keys: Mapping[str, str] = MappingProxyType({}),
    defaults: Mapping[str, Any] = MappingProxyType({}),
    only: Iterable[str] | None = None,
    added: bool = True,
) -> None:
    """Make the options of a class or function settings of GraphGym's configuration.

    Args:
        owner: What takes the arguments, see `pyg_samsa.options.options_of`.
        group: Group of the settings, such as ``"train"``; empty for the root.
        keys: Argument -> full key, where the key is not ``group.argument``.
        defaults: Argument -> default of the setting, where it differs from that of the argument.
        only: Arguments to add; all by default.
        added: Whether the settings are new to GraphGym.

    Example:
        >>> from pyg_samsa.training.optimizers import adamw
        >>> key_of(adamw, "lr")
        'optim.base_lr'
    """
    arguments = options_of(owner)
    fed = _KEYS.setdefault(owner, {})
    for name in arguments if only is None else only:
        argument = arguments[name]
        key = keys.get(name) or (f"{group}.{name}" if group else name)
        fed[name] = key
        SETTINGS.setdefault(key, Setting(key, argument, defaults.get(name, argument.default), added))


def key_of(owner: Callable[..., Any], argument: str) -> str:
    """Return the key of the setting that feeds an argument."""
    return _KEYS[owner][argument]


def values_for(owner: Callable[..., Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of an owner that a configuration holds.

    Args:
        owner: An owner that was added by `add_owner`.
        config: GraphGym's ``cfg``.

    Example:
        >>> from torch_geometric.graphgym.config import cfg
        >>> import pyg_samsa.graphgym
        >>> from pyg_samsa.datasets.encodings import add_encoding
        >>> values_for(add_encoding, cfg)
        {'kind': 'none', 'dim': 16, 'steps': None, 'laplacian': None, 'vector_norm': None}
    """
    return {name: value_of(key, config) for name, key in _KEYS[owner].items()}


def value_of(key: str, config: Any) -> Any:
    """Return the value of a dotted key, see `plain`; None if the configuration has no such key."""
    for part in key.split("."):
        if not isinstance(config, Mapping) or part not in config:
            return None
        config = config[part]
    return plain(config)


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, UnionType)


def _setting(
    key: str,
    default: Any,
    text: str,
    choices: tuple[Any, ...] = (),
    low: float | None = None,
    high: float | None = None,
    *,
    above: float | None = None,
    below: float | None = None,
    added: bool = True,
) -> Setting:
    """Add a setting that feeds no single argument."""
    option = Option(text, choices, low, high, below, above)
    made = SETTINGS[key] = Setting(
        key, Argument(key.rpartition(".")[2], type(default), default, option), default, added
    )
    return made


UNSET_INT, UNSET_FLOAT = 0, -1.0
# GraphGPS's names of message passing -> names of local layers here.
LOCAL_OF_GRAPHGPS = {
    "None": None,
    "GINE": "gine",
    "CustomGatedGCN": "gatedgcn",
    "GCN": "gcn",
    "GIN": "gin",
    "GENConv": "gen",
    "GAT": "gat",
    "GATv2": "gatv2",
    "PNA": "pna",
    "INCIDENCE": "incidence",
}
_GPS_ATTENTION = {"Transformer": "multihead", "Performer": "performer", "BiasedTransformer": "biased"}
# GraphGPS's names of the layers of the network gps -> the arguments local and attention of pyg_samsa.nn.GNN.
GPS_LAYERS = {
    f"{local}+{attention}": (ours or NO_LOCAL, name)
    for local, ours in LOCAL_OF_GRAPHGPS.items()
    if ours in (None, *local_names())
    for attention, name in _GPS_ATTENTION.items()
}
# Heads of GraphGPS.
SHRINKING_HEAD = "san_graph"
WORD_HEAD = "ogb_code_graph"
NORM_HEAD = "graphormer_graph"
# Heads of nn.GNN with a fixed number of linear layers; others have gnn.layers_post_mp.
LAYERS_OF_HEAD = {SHRINKING_HEAD: 3, WORD_HEAD: 1, NORM_HEAD: 1}
# Settings of other networks that are fixed in the network samsa.
FIXED_IN_SAMSA: dict[str, Any] = {
    "gt.layer_norm": False,
    "gt.batch_norm": False,
    "gt.full_graph": True,
    "gt.gamma": 1e-5,
    "gnn.residual": True,
    "gnn.update_edges": False,
}
_setting("dataset.node_encoder_num_types", 0, "Types of nodes of the encoder TypeDictNode; 0 is not set.", low=0)
_setting("dataset.edge_encoder_num_types", 0, "Types of edges of the encoder TypeDictEdge; 0 is not set.", low=0)
# Networks that do not use positional encodings.
WITHOUT_ENCODINGS = ("bag_of_features", "point_net")
_setting("dataset.slic_compactness", 30, "Superpixel sets come in one form.", (30,))
# What the data and pe.* decide is no setting.
_DECIDED = {
    "level",
    "edge_decoding",
    "towers",
    "num_categories",
    "pe_channels",
    "pe_kind",
    "flip_signs",
    "scale_targets",
    "graph_channels",
}
add_owner(
    SAMSAOptions,
    "samsa",
    keys={"num_layers": "samsa.layers", "pe_role": "pe.role"},
    only=[name for name in options_of(SAMSAOptions) if name not in _DECIDED],
)


def part_settings(parts: Mapping[str, Callable[..., Any]], name: str) -> dict[str, str]:
    """Return the options of an attention operator or a tokenizer that are settings of their own: argument -> key.

    The group is named after the part. Options that all parts of a kind share, such as ``heads``, are ``samsa.*``.

    Args:
        parts: :obj:`pyg_samsa.nn.OPERATORS` or :obj:`pyg_samsa.nn.TOKENIZERS`.
        name: A name in it.

    Example:
        >>> part_settings(OPERATORS, "performer")["num_features"]
        'performer.num_features'
    """
    part = parts[name]
    shared = {"heads", "dropout", FROM_DATA, *OPERATOR_ARGUMENTS}
    add_owner(part, name, only=[option for option in options_of(part) if option not in shared])
    return _KEYS[part]


FROM_DATA = "num_dims"
"""The option of an operator that the data decide: the coordinates of a position."""


def add_registered() -> None:
    """Make settings of the options of all data sets, operators, tokenizers and losses that are registered by now."""
    for name, argument in dataset_options().items():
        # None, the default of the setting, is the data set's own default.
        SETTINGS[f"dataset.{name}"] = Setting(f"dataset.{name}", argument, None)
    for parts in (OPERATORS, TOKENIZERS):
        for name in parts:
            part_settings(parts, name)
    for name in losses.available():
        keys = {"beta": "model.smooth_l1_beta"} if name == "smooth_l1" else {}
        only = [option for option in losses.options(name) if option != "class_weight"]
        add_owner(losses.LOSSES[name], "model", keys=keys, only=only)


add_registered()
add_owner(PointNet, "point_net")
add_owner(GraphormerEncoding, "graphormer")
add_owner(add_encoding, "pe")
add_owner(EncodingOptions, "pe")
add_owner(add_feature_scale, "dataset")
add_owner(add_descriptors, "dataset", defaults={"descriptors": []})
add_owner(
    TrainerOptions,
    "train",
    only=(
        *(
            "precision",
            "matmul_precision",
            "strategy",
            "process_timeout",
            "compile",
            "keep_best",
            "patience",
            "batch_norm_batches",
        ),
        *("max_seconds", "fit_schedule"),
    ),
    keys={"keep_best": "train.ckpt_best"},
)
add_owner(TrainerOptions, keys={"accumulate": "optim.batch_accumulation"}, only=("accumulate",))
add_owner(MixtureOptions, "trunk")
add_owner(AdaptationOptions, "train")
add_owner(MaskOptions, "mask")
add_owner(BatchOptions, "train", only=("tokens_per_batch", "eval_batch_size"))
add_owner(start_from, keys={"source": "train.start_from"}, defaults={"source": ""})
add_owner(schedulers.build, keys={"warmup_steps": "optim.num_warmup_steps"})
add_owner(
    schedulers.BUILDERS["plateau"],
    "optim",
    keys={"factor": "optim.reduce_factor", "patience": "optim.schedule_patience"},
    defaults={"factor": 0.1},
    only=("min_lr", "factor", "patience"),
)
add_owner(PredictorOptions, "predictor", defaults={"tree_inputs": list(TREE_INPUTS), "gp_inputs": list(GP_INPUTS)})
add_owner(GaussianProcessOptions, "gaussian_process", only=("max_rows",))
# The metric decides the loss of the trees, and the run their seed and threads.
_BY_THE_RUN = {"loss", "seed", "threads"}
add_owner(WandbOptions, "wandb")
add_owner(BoostingOptions, "boosting", only=[name for name in options_of(BoostingOptions) if name not in _BY_THE_RUN])

# GraphGym's own settings that feed an owner here.
add_owner(
    TrainerOptions,
    keys={"max_epochs": "optim.max_epoch", "eval_every": "train.eval_period", "save_checkpoints": "train.enable_ckpt"}
    | {"archive_every": "train.ckpt_period"},
    defaults={"max_epochs": 200, "archive_every": 100, "eval_every": 1},
    only=("max_epochs", "accelerator", "devices", "eval_every", "save_checkpoints", "archive_every"),
    added=False,
)
add_owner(BatchOptions, "train", defaults={"batch_size": 16}, only=("batch_size",), added=False)
add_owner(
    adamw,
    "optim",
    keys={"lr": "optim.base_lr"},
    defaults={"lr": 0.01, "weight_decay": 5e-4},
    added=False,
)
_setting("print", "both", "Where the progress of a run goes.", ("stdout", "file", "both"), added=False)
_setting("metric_agg", "argmax", "Direction of metric_best.", ("argmax", "argmin"), added=False)
_setting(
    "model.edge_decoding",
    "dot",
    "Predictions for pairs of nodes: how the vectors of both nodes become a score.",
    EDGE_DECODINGS,
    added=False,
)
_setting("train.epoch_resume", -1, "Not part of this runner.", (-1,), added=False)
_setting("num_workers", 0, "Processes that load batches.", low=0, high=MOST, added=False)
_setting("num_threads", 6, "Threads on the CPU; OMP_NUM_THREADS may lower them.", low=1, high=1024, added=False)
_setting("seed", 0, "Seed of weights, order and noise.", low=0, high=2**31 - 1, added=False)

# Settings of a run and GraphGPS's names.
_setting(
    "tasks",
    [],
    "Tasks that are trained together, on one encoder: names of configurations, or tables with cfg, name, weight, "
    "modality and settings of their own.",
)
_setting(
    "run_multiple_splits",
    [],
    "Splits of the nodes of one graph, from 0: a run for each, with the same seed; else dataset.split_index alone.",
)
_setting("run_name", "", "Name of the run's folder in out_dir; empty for the name of the YAML file.")
_setting("name_tag", "", "Text that is appended to the name of the run.")
_setting("train.mode", "standard", "standard (custom is the same).", ("standard", "custom"))
_setting("optim.num_warmup_epochs", 0.0, "Epochs of linear warm-up.", low=0.0)
_setting("optim.clip_grad_norm", False, "Whether the norm of the gradient is clipped.")
_setting("optim.clip_grad_norm_value", 1.0, "Largest norm of the gradient.", above=0.0)
_NAMES_OF_GRAPHGPS = (
    _setting("gt.layers", UNSET_INT, "Other name of samsa.layers, and of the layers of gps; 0 is not set.", low=0),
    _setting("gt.n_heads", UNSET_INT, "Other name of samsa.heads, and the heads of gps (else 4); 0 is not set.", low=0),
    _setting(
        "gt.dim_hidden", UNSET_INT, "Other name of samsa.channels, and of gnn.dim_inner for gps; 0 is not set.", low=0
    ),
    _setting(
        "gt.dropout", UNSET_FLOAT, "Other name of samsa.dropout, and of gnn.dropout for gps; -1 is not set.", high=1.0
    ),
    _setting(
        "gt.attn_dropout", UNSET_FLOAT, "Other name of samsa.attn_dropout, and that of gps; -1 is not set.", high=1.0
    ),
    _setting(
        "gt.layer_type",
        "samsa",
        "Message passing + attention, as GraphGPS names layers: GINE+SAMSA, None+SFT; with model.type gps "
        "GINE+Transformer. samsa: as samsa.local and samsa.attention say.",
    ),
    _setting(
        "gt.layer_norm",
        False,
        "Networks gps and san: layer norms in place of batch norms. Blocks of samsa normalise by RMSNorm, before each "
        "branch.",
    ),
    _setting(
        "gt.batch_norm",
        False,
        "Networks gps and san: batch norms. Blocks of samsa normalise by RMSNorm, before each branch.",
    ),
    _setting("gt.residual", True, "Blocks are residual.", (True,)),
    _setting("gt.full_graph", True, "Networks san, san2: whether pairs of nodes that no edge joins take part."),
    _setting("gt.gamma", 1e-5, "Network san: weight of these pairs.", low=0.0),
    _setting(
        "gnn.update_edges",
        False,
        "Whether gated layers of gatedgcn and gps change the features of edges, and normalise their gates.",
    ),
    _setting(
        "gnn.residual",
        True,
        "Whether layers of gcn, gcnii, gine, gatedgcn, mlp and san are residual. Blocks of samsa and gps are.",
    ),
)
_setting("graphormer.num_layers", 6, "Network graphormer: layers.", low=1, high=1000)
_setting("graphormer.embed_dim", 80, "Network graphormer: channels.", low=1, high=2**16)
_setting("graphormer.num_heads", 4, "Network graphormer: heads; a divisor of the channels.", low=1, high=1024)
_setting("graphormer.dropout", 0.0, "Network graphormer: dropout of layers and head.", low=0.0, below=1.0)
_setting("graphormer.attention_dropout", 0.0, "Network graphormer: dropout of the attention.", low=0.0, below=1.0)
_setting("graphormer.mlp_dropout", 0.0, "Network graphormer: dropout within the MLPs.", low=0.0, below=1.0)

# GraphGym's own settings whose default is another one here.
CHANGED_DEFAULTS: dict[str, Any] = {
    "tensorboard_agg": False,  # needs a package that GraphGym does not depend on, and crashes without it
    "train.eval_period": 1,  # GraphGym validates after every epoch whatever the value is; here it is honoured
}
ALIASES = {"gt.layers": "samsa.layers", "gt.n_heads": "samsa.heads", "gt.dim_hidden": "samsa.channels"}
ALIASES |= {"gt.dropout": "samsa.dropout", "gt.attn_dropout": "samsa.attn_dropout"}
# GraphGym's own runner writes these into its dumped configurations; a new run has no use for them.
DUMPED_BY_GRAPHGYM = frozenset({"run_dir", "params"})
# Settings of GraphGym without effect on this runner; the header of a run that sets one names it.
_NO_EFFECT = {
    "": "round view_emb gpu_mem benchmark tensorboard_agg cfg_dest",
    "dataset": "shuffle_split encoder encoder_name encoder_bn node_encoder_bn edge_encoder_bn encoder_dim edge_dim "
    "transform cache_save cache_load remove_feature tu_simple to_undirected location label_table label_column",
    "train": "sampler sample_node node_per_graph radius iter_per_epoch walk_length neighbor_sizes",
    "val": "sampler sample_node node_per_graph radius",
    "model": "match_upper size_average thresh",
    "mem": "inplace",
}
NO_EFFECT = frozenset(
    f"{group}.{name}" if group else name for group, names in _NO_EFFECT.items() for name in names.split()
)
