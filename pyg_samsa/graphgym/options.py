"""Every setting that this package adds to GraphGym's configuration, in one table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyg_samsa.datasets.points.point_dataset import ROTATED
from pyg_samsa.errors import ConfigError
from pyg_samsa.functional import ATTENTION_BACKENDS
from pyg_samsa.functional.maxout import LEAKS
from pyg_samsa.functional.pair_features import PAIR_FEATURES
from pyg_samsa.functional.relative import SCORES
from pyg_samsa.nn.attention import ATTENTION
from pyg_samsa.nn.conv.flt_conv import ENCODINGS
from pyg_samsa.nn.conv.samsa_conv import IMPORTANCE
from pyg_samsa.nn.conv.sft_conv import SAMPLERS
from pyg_samsa.nn.head import HEAD_NORMS


@dataclass(frozen=True)
class Option:
    """One setting.

    Args:
        key: Dotted name, such as ``samsa.layers``.
        default: Its value where the user says nothing; its type is the setting's type.
        help: What it does, with unit.
        choices: All allowed values; empty for any.
        low: Smallest allowed number, None for any.
        high: Largest allowed number, None for any.
    """

    key: str
    default: Any
    help: str
    choices: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None

    def check(self, value: Any) -> None:
        """Check a value of the right type.

        Raises:
            ConfigError: it is not allowed.

        Example:
            >>> Option("samsa.tau", 1.0, "", low=0.0).check(0.5)
        """
        if self.choices and value not in self.choices:
            raise ConfigError(self.key, value, self.choices)
        if (self.low is not None and value < self.low) or (self.high is not None and value > self.high):
            bounds = (
                f"at least {self.low:g}"
                if self.high is None
                else f"at most {self.high:g}"
                if self.low is None
                else f"{self.low:g} to {self.high:g}"
            )
            raise ConfigError(self.key, value, f"a number of {bounds}" if self.high is None else f"a number, {bounds}")


UNSET_INT, UNSET_FLOAT = 0, -1.0
# GraphGPS's names of the layers of the network gps -> the arguments local and attention of pyg_samsa.nn.GNN.
GPS_LAYERS = {
    "GINE+Transformer": ("gine", "multihead"),
    "GINE+Performer": ("gine", "performer"),
    "CustomGatedGCN+Transformer": ("gatedgcn", "multihead"),
    "CustomGatedGCN+Performer": ("gatedgcn", "performer"),
}
# What the network samsa is, whatever other networks can be told.
FIXED_IN_SAMSA: dict[str, Any] = {
    "gt.layer_type": "samsa",
    "gt.layer_norm": False,
    "gt.batch_norm": False,
    "gnn.residual": True,
}
# Networks of ours that would not look at positional encodings.
WITHOUT_ENCODINGS = ("bag_of_features", "point_net")
_MODEL = (
    Option("samsa.layers", 24, "Number of blocks.", low=1),
    Option("samsa.channels", 128, "Channels D of a token; a multiple of samsa.heads.", low=1),
    Option("samsa.heads", 8, "Number of attention heads H.", low=1),
    Option("samsa.num_samples", 256, "Number K of tokens that each head of each graph samples.", low=1),
    Option("samsa.ffn_channels", 0, "Hidden channels of the feed-forward networks; 0 is 4 D.", low=0),
    Option(
        "samsa.sampling",
        "hard",
        "How keys are sampled: hard and soft without replacement, or with replacement.",
        ("hard", "soft", "replacement"),
    ),
    Option("samsa.tau", 1.0, "Temperature of the sampling gradient, above 0.", low=1e-6),
    Option("samsa.noise", "train", "When Gumbel noise is added to the scores.", ("train", "always", "never")),
    Option("samsa.dropout", 0.0, "Dropout of the feed-forward networks and the head.", low=0.0, high=1.0),
    Option("samsa.attn_dropout", 0.0, "Dropout of the attention weights.", low=0.0, high=1.0),
    Option(
        "samsa.drop_path", 0.0, "Probability that a graph's residual branch is dropped in training.", low=0.0, high=1.0
    ),
    Option(
        "samsa.rezero", "shared", "One ReZero scalar for all layers (the paper's), or one per layer.", ("shared", "own")
    ),
    Option(
        "samsa.bridge",
        True,
        "Whether nodes and edges become tokens (Graph-Bridge); without it the nodes alone are tokens.",
    ),
    Option("samsa.num_codes", 1, "Random codes per node in Graph-Bridge; 0 is the ablation without noise.", (0, 1, 2)),
    Option("samsa.num_eval_samples", 1, "Deterministic draws of codes that an evaluation averages.", low=1),
    Option(
        "samsa.eval_codes",
        "structural",
        "What codes are derived from in evaluation.",
        ("structural", "index", "random"),
    ),
    Option("samsa.sigma", 1.0, "Initial standard deviation of the noise in the codes, above 0.", low=1e-6),
    Option("samsa.pool", "attention", "Readout of graph-level tasks.", ("attention", "mean")),
    Option(
        "samsa.positions",
        "none",
        "What is added to nodes: nothing, or sinusoids of their places, for sequences.",
        ("none", "sinusoidal"),
    ),
    Option(
        "samsa.context",
        False,
        "Node-level tasks: whether the head also sees the readout of the graph and, where there are some, its category.",
    ),
    Option(
        "samsa.interaction",
        "concat",
        "Pairs of documents: the head sees both readouts a, b (the paper's), or [a, b, a b, |a - b|], which is learned sooner.",
        ("concat", "nli"),
    ),
    Option(
        "samsa.head_norm",
        "none",
        "The head sees readouts as they are (the paper), or normalised over the batch: learning starts sooner.",
        HEAD_NORMS,
    ),
    Option(
        "samsa.coordinate_free",
        False,
        "Clouds with SFT: tokens that know no coordinates, so that nothing changes when a cloud is turned.",
    ),
    Option(
        "samsa.radius",
        False,
        "Whether tokens of samsa.coordinate_free know their distance to the centroid, which turns leave as it is.",
    ),
    Option(
        "samsa.checkpointing",
        False,
        "Whether each block is computed again in the backward pass: a third more time, the memory of one block.",
    ),
    Option(
        "samsa.attn_backend", "auto", "How attention over the sampled keys is computed.", ("auto", *ATTENTION_BACKENDS)
    ),
    Option(
        "samsa.attention",
        "samsa",
        "The attention operator of the blocks: SAMSA, its relatives SFT and FLT, or a baseline.",
        tuple(ATTENTION),
    ),
)
# Arguments of one operator of samsa.attention alone: group -> operator, name -> argument.
_OPERATORS = (
    Option(
        "samsa.importance",
        "learned",
        "Ablation of SAMSA: learned scores, random ones, or the same learned keys everywhere.",
        IMPORTANCE,
    ),
    Option("samsa.shared_sets", False, "Ablation of SAMSA: whether all heads sample the same tokens."),
    Option("samsa.support", True, "Ablation of SAMSA: whether there are learned support tokens."),
    Option("sft.encoding", "none", "What SFT's attention knows of the positions of a pair.", tuple(PAIR_FEATURES)),
    Option("sft.score", "maxout", "Score of SFT; softmax is the ablation with a dot product.", SCORES),
    Option("sft.leak", "softplus", "How probability leaks in SFT.", LEAKS),
    Option("sft.sampler", "samsa", "How SFT samples: as SAMSA, or pairs of tokens that are mixed.", SAMPLERS),
    Option("sft.shared", True, "Whether all heads of SFT sample the same tokens."),
    Option("sft.unit", 1.0, "Length by which SFT divides positions, above 0.", low=1e-9),
    Option(
        "flt.encoding",
        "auto",
        "Relative positions in FLT; auto is gaussian_mixture where nodes have positions, else none.",
        ("auto", *ENCODINGS),
    ),
    Option("flt.num_features", 64, "Positive random features M of a head of FLT.", low=1),
    Option("flt.num_frequencies", 16, "Frequencies m of a head of FLT.", low=1),
    Option(
        "flt.length_scale",
        1.0,
        "Distance at which FLT's encoding varies, in units of the positions, above 0.",
        low=1e-9,
    ),
    Option("flt.causal", False, "Whether a token of FLT sees only those before it."),
)
OPERATOR_OPTIONS: dict[str, tuple[str, ...]] = {
    operator: tuple(option.key for option in _OPERATORS if option.key.startswith(f"{operator}."))
    for operator in ("samsa", "sft", "flt")
}
"""Operator of ``samsa.attention`` -> the settings that are its own."""
_TRAINING = (
    Option("samsa.run_name", "", "Name of the run's folder in out_dir; empty for the name of the YAML file."),
    Option(
        "samsa.precision",
        "32-true",
        "Number format of training.",
        ("32", "32-true", "bf16", "bf16-mixed", "16", "16-mixed"),
    ),
    Option(
        "samsa.matmul_precision",
        "highest",
        "float32 products on CUDA: highest, or high for TF32.",
        ("highest", "high", "medium"),
    ),
    Option("samsa.strategy", "auto", "Lightning strategy; auto is distributed data parallel where devices is above 1."),
    Option("samsa.eval_batch_size", 0, "Graphs of an evaluation batch; 0 is train.batch_size.", low=0),
    Option("samsa.compile", False, "Whether the network goes through torch.compile."),
    Option("samsa.label_smoothing", 0.0, "Label smoothing of bce and cross-entropy losses.", low=0.0, high=0.99),
    Option("samsa.pos_weight", 0.0, "Weight of positive labels in bce; 0 for none.", low=0.0),
    Option("samsa.smooth_l1_beta", 1.0, "Where smooth_l1 goes over from the square into the line, above 0.", low=1e-9),
)
_BASELINES = (
    Option(
        "samsa.point_net_width", 1.0, "Factor on the widths of PointNet's hidden layers, above 0.", low=1e-3, high=100.0
    ),
    Option(
        "pe.kind",
        "none",
        "Positional encodings of nodes: Laplacian eigenvectors or random-walk return probabilities.",
        ("none", "lap", "rwse"),
    ),
    Option("pe.dim", 16, "Number of eigenvectors, or of steps.", low=1),
    Option(
        "fingerprint.model",
        "auto",
        "Boosted trees on fingerprints; auto is LightGBM where it is installed.",
        ("auto", "sklearn", "lightgbm"),
    ),
    Option("fingerprint.radius", 2, "Bonds around an atom that its fragments reach.", low=0, high=10),
    Option("fingerprint.size", 2048, "Counts of a fingerprint.", low=1),
    Option("fingerprint.chirality", False, "Whether mirror images are different fragments."),
    Option("fingerprint.trees", 500, "Trees of each target.", low=1),
    Option("fingerprint.learning_rate", 0.1, "Share of each tree, above 0.", low=1e-6, high=1.0),
    Option("fingerprint.leaves", 31, "Leaves of a tree, at least 2.", low=2),
    Option("fingerprint.balance", False, "Whether rare classes weigh as much as frequent ones."),
    Option(
        "fingerprint.fit_val",
        False,
        "Whether the validation split is trained on too, as in the literature: nothing is chosen by it.",
    ),
)
_KNOWN_NAMES = (
    Option("name_tag", "", "Appended to the run's name."),
    Option("dataset.max_residues", 0, "Embedded peptides: leave longer ones out; 0 keeps all.", low=0),
    Option("dataset.subset", 0, "Embedded peptides: keep about this many; 0 keeps all.", low=0),
    Option("dataset.unlabelled", "unknown", "Embedded peptides: what an unlabelled pair is.", ("unknown", "negative")),
    Option("dataset.num_points", 0, "Point clouds: points of a cloud; 0 is the benchmark's number.", low=0),
    Option("dataset.normals", True, "Point clouds: whether normals are features besides coordinates."),
    Option("dataset.rotated", "none", "ModelNet and shapes: which clouds are turned at random.", ROTATED),
    Option("dataset.incomplete", False, "Point clouds: whether files that the official lists name may be missing."),
    Option("dataset.per_family", 0, "Embedded shapes: clouds of each family; 0 is 200.", low=0),
    Option("dataset.rounds", 0, "News pairs: rounds over the training articles; 0 is 4.", low=0),
    Option(
        "dataset.unit", "", "Texts: what a symbol is, bytes (as in the benchmark) or words.", ("", "bytes", "words")
    ),
    Option(
        "dataset.seed",
        0,
        "Of a generator, a sampling of points or a held-out validation split; not that of the training.",
        low=0,
    ),
    Option(
        "dataset.source", "", "ListOps and Pathfinder: generated, or official files.", ("", "generated", "official")
    ),
    Option("dataset.folder", "", "Sequences: folder of the official files."),
    Option("dataset.level", "", "Pathfinder: length of the paths.", ("", "short", "easy", "intermediate", "hard")),
    Option("dataset.lit", False, "Pathfinder: whether only pixels that are not black are tokens, as a set of points."),
    Option("dataset.min_length", 0, "ListOps: shortest expression; 0 is 500.", low=0),
    Option("dataset.max_length", 0, "Sequences: longest one; 0 is the benchmark's.", low=0),
    Option("dataset.max_depth", 0, "ListOps: deepest nesting; 0 is 10.", low=0),
    Option("dataset.max_args", 0, "ListOps: most arguments of an operator; 0 is 10.", low=0),
    Option("dataset.num_train", 0, "Generators: sequences for training; 0 is the benchmark's number.", low=0),
    Option("dataset.num_val", 0, "Generators: sequences for validation; 0 is the benchmark's number.", low=0),
    Option("dataset.num_test", 0, "Generators: sequences for testing; 0 is the benchmark's number.", low=0),
    Option("dataset.csv", "", "CSV of molecules: the file."),
    Option("dataset.smiles_column", "", "CSV of molecules: name or number of the column of SMILES; empty finds it."),
    Option(
        "dataset.target_columns",
        [],
        "CSV of molecules: names or numbers of the columns to predict; empty takes the only other one.",
    ),
    Option(
        "dataset.csv_task",
        "auto",
        "CSV of molecules: what the targets are.",
        ("auto", "regression", "binary", "multilabel", "multiclass"),
    ),
    Option(
        "dataset.split_kind",
        "random",
        "CSV of molecules: how it is split; dataset.split has the shares.",
        ("random", "scaffold", "column"),
    ),
    Option("dataset.split_column", "", "CSV of molecules: column that holds train, val or test."),
    Option("dataset.skip_invalid", False, "CSV of molecules: whether rows whose molecule cannot be read are left out."),
    Option("dataset.slic_compactness", 30, "Superpixel sets come in one form.", (30,)),
    Option(
        "train.tokens_per_batch",
        0,
        "Tokens of a batch (nodes, and edges where they are tokens) in place of train.batch_size graphs.",
        low=0,
    ),
    Option(
        "train.start_from",
        "",
        "Fine-tuning: a run's folder, a checkpoint or a saved network whose weights the network begins with.",
    ),
    Option("train.eval_smoothing_metrics", False, "Not part of this runner.", (False,)),
    Option("optim.num_warmup_epochs", 0.0, "Epochs of linear warm-up.", low=0.0),
    Option("optim.num_warmup_steps", 0, "Or: optimiser steps of linear warm-up.", low=0),
    Option("optim.clip_grad_norm", False, "Whether the norm of the gradient is clipped."),
    Option("optim.clip_grad_norm_value", 1.0, "Largest norm of the gradient.", low=1e-12),
    Option("optim.batch_accumulation", 1, "Batches whose gradients make one step.", low=1),
    Option("optim.min_lr", 0.0, "Learning rate at the end of a decay.", low=0.0),
    Option("optim.reduce_factor", 0.1, "Factor of the plateau schedule.", low=1e-9, high=0.999999),
    Option("optim.schedule_patience", 10, "Epochs without progress before the plateau schedule acts.", low=0),
    Option("train.mode", "standard", "standard (custom is the same).", ("standard", "custom")),
    Option("train.ckpt_best", True, "Whether the best epoch is kept and tested on; without it the last one is."),
    Option("wandb.use", False, "Whether the run is shown on Weights & Biases."),
    Option("wandb.project", "pyg_samsa", "Project there."),
    Option("wandb.entity", "", "User or team there; empty for the default."),
    Option("wandb.name", "", "Name of the run there; empty for its own."),
    Option("wandb.mode", "online", "online or offline.", ("online", "offline")),
    Option("gt.layers", UNSET_INT, "Other name of samsa.layers, and of the layers of gps; 0 is not set.", low=0),
    Option("gt.n_heads", UNSET_INT, "Other name of samsa.heads, and the heads of gps (else 4); 0 is not set.", low=0),
    Option(
        "gt.dim_hidden", UNSET_INT, "Other name of samsa.channels, and of gnn.dim_inner for gps; 0 is not set.", low=0
    ),
    Option(
        "gt.dropout", UNSET_FLOAT, "Other name of samsa.dropout, and of gnn.dropout for gps; -1 is not set.", high=1.0
    ),
    Option(
        "gt.attn_dropout", UNSET_FLOAT, "Other name of samsa.attn_dropout, and that of gps; -1 is not set.", high=1.0
    ),
    Option(
        "gt.layer_type", "samsa", "The network's layers: samsa, or those of the network gps.", ("samsa", *GPS_LAYERS)
    ),
    Option(
        "gt.layer_norm",
        False,
        "Network gps: layer norms in place of batch norms. Blocks of samsa normalise by RMSNorm, before each branch.",
    ),
    Option(
        "gt.batch_norm", False, "Network gps: batch norms. Blocks of samsa normalise by RMSNorm, before each branch."
    ),
    Option("gt.residual", True, "Blocks are residual.", (True,)),
    Option("gnn.residual", True, "Whether layers of gcn, gine and gatedgcn are residual. Blocks of samsa and gps are."),
)
OPTIONS: tuple[Option, ...] = (*_MODEL, *_OPERATORS, *_TRAINING, *_BASELINES, *_KNOWN_NAMES)
OPTION_OF = {option.key: option for option in OPTIONS}

# GraphGym's own settings whose default serves our runner better.
CHANGED_DEFAULTS: dict[str, Any] = {
    "tensorboard_agg": False,  # needs a package that GraphGym does not depend on, and crashes without it
    "train.eval_period": 1,  # GraphGym validates after every epoch whatever it says; ours honours it
}
# GraphGym's own settings that take one of a few values in our runner.
GRAPHGYM_OPTIONS = {
    option.key: option
    for option in (
        Option("print", "both", "", ("stdout", "file", "both")),
        Option("metric_agg", "argmax", "", ("argmax", "argmin")),
        Option("accelerator", "auto", "", ("auto", "cpu", "gpu", "cuda", "mps")),
        Option("train.batch_size", 16, "", low=1),
        Option("train.eval_period", 1, "", low=1),
        Option("train.ckpt_period", 100, "", low=1),
        Option("train.epoch_resume", -1, "", (-1,)),
        Option("optim.max_epoch", 200, "", low=1),
        Option("optim.base_lr", 0.01, "", low=1e-12),
        Option("optim.weight_decay", 5e-4, "", low=0.0),
        Option("num_workers", 0, "", low=0),
        Option("num_threads", 6, "", low=1),
        Option("seed", 0, "", low=0, high=2**31 - 1),
    )
}
ALIASES = {"gt.layers": "samsa.layers", "gt.n_heads": "samsa.heads", "gt.dim_hidden": "samsa.channels"}
ALIASES |= {"gt.dropout": "samsa.dropout", "gt.attn_dropout": "samsa.attn_dropout"}
# Settings that are handed to the data set where they differ from their default.
DATASET_OPTIONS = (
    *("max_residues", "subset", "unlabelled"),
    *("num_points", "normals", "rotated", "incomplete", "per_family"),
    *("csv", "smiles_column", "target_columns", "csv_task", "split_kind", "split_column", "skip_invalid"),
    *("rounds", "unit", "source", "folder", "level", "lit", "min_length", "max_length"),
    *("max_depth", "max_args", "num_train", "num_val", "num_test", "seed"),
)
# Written by GraphGym's own runner into its dumped configurations; they say nothing that a new run could use.
DUMPED_BY_GRAPHGYM = frozenset({"run_dir", "params"})
# Settings of GraphGym without effect on our runner and our network: named in the header of a run that sets them.
_NO_EFFECT = (
    "round view_emb gpu_mem benchmark tensorboard_agg cfg_dest dataset.shuffle_split dataset.encoder dataset.encoder_name dataset.encoder_bn "
    "dataset.node_encoder_bn dataset.edge_encoder_bn dataset.encoder_dim dataset.edge_dim dataset.transform dataset.cache_save dataset.cache_load "
    "dataset.remove_feature dataset.tu_simple dataset.to_undirected dataset.location dataset.label_table dataset.label_column train.sampler "
    "train.sample_node train.node_per_graph train.radius train.iter_per_epoch train.walk_length train.neighbor_sizes val.sampler val.sample_node "
    "val.node_per_graph val.radius model.match_upper model.size_average model.thresh mem.inplace"
)
NO_EFFECT = frozenset(_NO_EFFECT.split())
