"""What the settings of GraphGPS, LRGB and Exphormer mean here: one table for the runner, ``convert`` and the docs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SAME, READ, LISTED, NOTHING, REFUSED = "same", "read", "listed", "nothing", "refused"
HANDLED = {
    SAME: "taken as it is",
    READ: "becomes another setting",
    LISTED: "not honoured; a run lists it",
    NOTHING: "dropped: it means nothing here",
    REFUSED: "refused",
}
"""How a key is handled -> the words of the documentation."""


@dataclass(frozen=True)
class Key:
    """A setting of those repositories.

    Args:
        handled: One of :obj:`HANDLED`.
        meaning: What it means here, or why it means nothing.
        harmless: Values that ask for nothing else than what is done here, so they are neither listed nor refused.
    """

    handled: str
    meaning: str
    harmless: tuple[Any, ...] = ()


_NO_EXPANDER = "there are no expander graphs here; layers with SAMSA are this package's sparse attention"
_UNUSED_ENCODING = "see `enable` of the same group."

REFUSED_ENCODINGS: Mapping[str, str] = {
    "SignNet": "SignNet is not part of this package; LapPE, which draws signs at random, and EquivStableLapPE are",
    "HKdiagSE": "heat kernels are not part of this package; RWSE is near to them",
    "ElstaticSE": "the electrostatic kernel is not part of this package",
    "ERN": "encodings by effective resistance are not part of this package",
}
SCALES_SUPERPIXELS = "train.eval_smoothing_metrics"
"""A setting of one repository, that of https://arxiv.org/abs/2309.00367, which standardises features of superpixels."""
KEYS: Mapping[str, Key] = {
    **{f"posenc_{name}.enable": Key(READ, f"Only `False`: {reason}.") for name, reason in REFUSED_ENCODINGS.items()},
    "accelerator": Key(SAME, "Where to train."),
    "custom_metrics": Key(SAME, "Metrics to report."),
    "dataset.dir": Key(SAME, "Folder of the data sets."),
    "dataset.edge_encoder": Key(SAME, "Whether edge features are encoded by the encoder that is named."),
    "dataset.edge_encoder_bn": Key(LISTED, "no batch norm follows an encoder of features", (False,)),
    "dataset.edge_encoder_name": Key(READ, "Encoder of edge features, see below."),
    "dataset.edge_encoder_num_types": Key(SAME, "Types of `TypeDictEdge`; a described data set knows its own."),
    "dataset.format": Key(SAME, "With `dataset.name`, one of the data sets below, or of a loader of your own."),
    "dataset.infer_link_label": Key(REFUSED, "links are not inferred", ("None",)),
    "dataset.name": Key(SAME, "With `dataset.format`, one of the data sets below, or of a loader of your own."),
    "dataset.node_encoder": Key(SAME, "Whether the encoder that is named is used; `False` drops its encodings too."),
    "dataset.node_encoder_bn": Key(LISTED, "no batch norm follows an encoder of features", (False,)),
    "dataset.node_encoder_name": Key(READ, "Encoder of node features, `+` and positional encodings, see below."),
    "dataset.node_encoder_num_types": Key(SAME, "Types of `TypeDictNode`; a described data set knows its own."),
    "dataset.pcqm4m_subset": Key(NOTHING, "`dataset.name` says which molecules of PCQM4Mv2 are used."),
    "dataset.rand_split": Key(LISTED, "splits are those of the data set, or `dataset.split`", (False,)),
    "dataset.resample_negative": Key(NOTHING, "negatives are drawn anew in training, if the data have none."),
    "dataset.slic_compactness": Key(SAME, "Superpixels come in one form, 30."),
    "dataset.split": Key(SAME, "Fractions of the splits of a data set that has none, and of random splits of nodes."),
    "dataset.split_dir": Key(NOTHING, "splits are not cached as files."),
    "dataset.split_index": Key(READ, "Which of the ten splits of one graph; other data sets have one."),
    "dataset.split_mode": Key(READ, "`standard`: that of the data set; `random`, of one graph: `dataset.node_split`."),
    "dataset.task": Key(SAME, "`graph`, also for predictions for nodes of many graphs; `node`."),
    "dataset.task_type": Key(SAME, "Kind of task; checked against the data set."),
    "dataset.transductive": Key(SAME, "True for data sets of one graph whose nodes are split, refused for others."),
    "device": Key(NOTHING, "`accelerator` chooses the device."),
    "devices": Key(SAME, "Number of devices."),
    "gnn.act": Key(SAME, "Activation."),
    "gnn.agg": Key(NOTHING, "the layers of these networks have an aggregation of their own, there as here."),
    "gnn.batchnorm": Key(READ, "Not read there; `gt.batch_norm` or the kind of layer decides."),
    "gnn.dim_edge": Key(NOTHING, "edges have as many channels as nodes."),
    "gnn.dim_inner": Key(SAME, "Channels."),
    "gnn.dropout": Key(SAME, "Dropout after layers of `custom_gnn`, and in the head; that of Graphormer has its own."),
    "gnn.head": Key(READ, "Head, see below."),
    "gnn.layer_type": Key(READ, "Layer of `custom_gnn`, see below."),
    "gnn.layers_mp": Key(SAME, "Layers of `custom_gnn`."),
    "gnn.layers_post_mp": Key(
        SAME, "Linear layers of the head, without norms; `san_graph` has 3, `ogb_code_graph` and `graphormer_graph` 1."
    ),
    "gnn.layers_pre_mp": Key(LISTED, "no layers stand between the encoders and the first block", (0,)),
    "gnn.normalize_adj": Key(LISTED, "GCN normalises always, other layers never", (False,)),
    "gnn.residual": Key(SAME, "Whether layers of `custom_gnn` are residual."),
    "gnn.stage_type": Key(NOTHING, "layers are stacked."),
    "gpu_mem": Key(NOTHING, "the memory of the GPU is always reported."),
    "graphormer.attention_dropout": Key(SAME, "Dropout of the attention weights of Graphormer."),
    "graphormer.dropout": Key(SAME, "Dropout of the layers of Graphormer."),
    "graphormer.embed_dim": Key(SAME, "Channels of Graphormer; the same as `gnn.dim_inner`."),
    "graphormer.input_dropout": Key(SAME, "Dropout of features and degrees, with `GraphormerBias`; not of encodings."),
    "graphormer.mlp_dropout": Key(SAME, "Dropout within the MLPs of Graphormer."),
    "graphormer.num_heads": Key(SAME, "Heads of Graphormer; with `BiasedTransformer` the same as `gt.n_heads`."),
    "graphormer.num_layers": Key(SAME, "Layers of Graphormer."),
    "graphormer.use_graph_token": Key(SAME, "Whether a token is added to each graph, with `GraphormerBias`."),
    "gt.attn_dropout": Key(SAME, "Dropout of the attention weights."),
    "gt.batch_norm": Key(SAME, "Batch norms of `GPSModel` and `SANTransformer`."),
    "gt.bigbird.*": Key(NOTHING, "the attention BigBird is not part of this package."),
    "gt.dim_edge": Key(NOTHING, "edges have as many channels as nodes."),
    "gt.dim_hidden": Key(SAME, "Channels of `GPSModel` and `SANTransformer`."),
    "gt.dropout": Key(SAME, "Dropout of `GPSModel` and `SANTransformer`."),
    "gt.full_graph": Key(SAME, "Whether `SANTransformer` attends to pairs of nodes that no edge joins."),
    "gt.gamma": Key(SAME, "Weight of these pairs with `SANLayer`; `SAN2Layer` learns it."),
    "gt.layer_norm": Key(SAME, "Layer norms of `GPSModel` and `SANTransformer`, per node."),
    "gt.layer_type": Key(READ, "Message passing + attention, see below; `SANLayer` and `SAN2Layer` of SAN."),
    "gt.layers": Key(SAME, "Layers of `GPSModel` and `SANTransformer`."),
    "gt.n_heads": Key(SAME, "Heads of the attention."),
    "gt.pna_degrees": Key(NOTHING, "the scalers of PNA that need degrees are not used, there as here."),
    "gt.residual": Key(READ, "`gnn.residual` of `SANTransformer`; blocks of `GPSModel` are residual, there as here."),
    "metric_agg": Key(SAME, "Direction of `metric_best`."),
    "metric_best": Key(SAME, "Metric that chooses the epoch; `f1` is macro F1, `accuracy-SBM` the mean over classes."),
    "mlflow.*": Key(NOTHING, "runs are logged to `metrics.csv`, TensorBoard and Weights & Biases."),
    "model.edge_decoding": Key(SAME, "Score of a pair of nodes: `dot`, `concat` or `cosine_similarity`."),
    "model.graph_pooling": Key(SAME, "Readout: `mean`, `add`, `max`, `graph_token`; of SAMSA `mean` or `attention`."),
    "model.loss_fun": Key(SAME, "Loss: `cross_entropy`, `weighted_cross_entropy`, `l1`, `smoothl1`, `mse`."),
    "model.type": Key(READ, "Network, see below."),
    "name_tag": Key(SAME, "Text that is appended to the name of the run."),
    "num_threads": Key(SAME, "Threads of the CPU."),
    "num_workers": Key(SAME, "Processes that load batches."),
    "optim.base_lr": Key(SAME, "Learning rate."),
    "optim.batch_accumulation": Key(SAME, "Batches of one step."),
    "optim.clip_grad_norm": Key(SAME, "Whether the norm of the gradient is clipped."),
    "optim.clip_grad_norm_value": Key(SAME, "Largest norm."),
    "optim.max_epoch": Key(SAME, "Epochs."),
    "optim.min_lr": Key(SAME, "Smallest learning rate."),
    "optim.num_warmup_epochs": Key(SAME, "Epochs of warm-up; the rate changes with every step here."),
    "optim.optimizer": Key(SAME, "`adam`, `adamW`, `adagrad`, `sgd`."),
    "optim.reduce_factor": Key(SAME, "Factor of `reduce_on_plateau`."),
    "optim.schedule_patience": Key(SAME, "Patience of `reduce_on_plateau`."),
    "optim.scheduler": Key(SAME, "`reduce_on_plateau`; `cosine_`, `linear_` or `polynomial_with_warmup`."),
    "optim.weight_decay": Key(SAME, "Weight decay; biases and norms have none here."),
    "out_dir": Key(SAME, "Folder of the results."),
    "posenc_ERN.*": Key(NOTHING, _UNUSED_ENCODING),
    "posenc_ElstaticSE.*": Key(NOTHING, _UNUSED_ENCODING),
    "posenc_EquivStableLapPE.eigen.eigvec_norm": Key(LISTED, "eigenvectors have length 1", ("L2",)),
    "posenc_EquivStableLapPE.eigen.laplacian_norm": Key(NOTHING, "it is not read there: the normalised one is used."),
    "posenc_EquivStableLapPE.eigen.max_freqs": Key(READ, "Number K of eigenvectors: `pe.dim`."),
    "posenc_EquivStableLapPE.enable": Key(READ, "With its name in the node encoder: `pe.role mapped_gate`."),
    "posenc_EquivStableLapPE.raw_norm_type": Key(LISTED, "eigenvectors are not normalised over the batch", ("none",)),
    "posenc_GraphormerBias.dim_pe": Key(NOTHING, "degrees are added to the features; only 0 runs there."),
    "posenc_GraphormerBias.enable": Key(READ, "With `GraphormerBias` in the name of the node encoder."),
    "posenc_GraphormerBias.node_degrees_only": Key(READ, "`graphormer.node_degrees_only`."),
    "posenc_GraphormerBias.num_in_degrees": Key(READ, "`graphormer.num_in_degrees`."),
    "posenc_GraphormerBias.num_out_degrees": Key(READ, "`graphormer.num_out_degrees`."),
    "posenc_GraphormerBias.num_spatial_types": Key(READ, "`graphormer.num_spatial_types`."),
    "posenc_HKdiagSE.*": Key(NOTHING, _UNUSED_ENCODING),
    "posenc_LapPE.dim_pe": Key(READ, "Channels beside those of the features: `pe.channels`, at least 1."),
    "posenc_LapPE.eigen.eigvec_norm": Key(READ, "Norm of the eigenvectors: `pe.vector_norm`."),
    "posenc_LapPE.eigen.laplacian_norm": Key(READ, "`pe.laplacian`; `rw` is listed, and `sym` is used."),
    "posenc_LapPE.eigen.max_freqs": Key(READ, "Number K of eigenvectors: `pe.dim`."),
    "posenc_LapPE.enable": Key(READ, "With `LapPE` in the name of the node encoder: `pe.kind spectrum`."),
    "posenc_LapPE.layers": Key(READ, "Layers of the model: `pe.layers`."),
    "posenc_LapPE.model": Key(READ, "`DeepSet` (also without a value) or `Transformer`: `pe.model`."),
    "posenc_LapPE.n_heads": Key(READ, "Heads of `Transformer`: `pe.heads`."),
    "posenc_LapPE.pass_as_var": Key(LISTED, "encodings are not passed to the layers", (False,)),
    "posenc_LapPE.post_layers": Key(READ, "Layers after the sum over eigenvectors: `pe.post_layers`."),
    "posenc_LapPE.raw_norm_type": Key(READ, "Batch norm before the model: `pe.norm`."),
    "posenc_RWSE.dim_pe": Key(READ, "As that of `posenc_LapPE`; beside `LapPE`: `pe.walk_channels`."),
    "posenc_RWSE.enable": Key(READ, "With `RWSE` in the name of the node encoder: `pe.kind rwse`."),
    "posenc_RWSE.kernel.times": Key(READ, "Steps 1, 2, ..., K of the walks: `pe.dim` K."),
    "posenc_RWSE.kernel.times_func": Key(READ, "Steps as `range(1, K + 1)`: `pe.dim` K. It is not executed."),
    "posenc_RWSE.layers": Key(READ, "Layers of `MLP`: `pe.layers`; beside `LapPE`: `pe.walk_layers`."),
    "posenc_RWSE.model": Key(READ, "`Linear` (also without a value) or `MLP`: `pe.model`, or `pe.walk_model`."),
    "posenc_RWSE.n_heads": Key(NOTHING, "it is not used there either."),
    "posenc_RWSE.pass_as_var": Key(LISTED, "encodings are not passed to the layers", (False,)),
    "posenc_RWSE.post_layers": Key(NOTHING, "it is not used there either."),
    "posenc_RWSE.raw_norm_type": Key(READ, "Batch norm before the model: `pe.norm`, or `pe.walk_norm`."),
    "posenc_SignNet.*": Key(NOTHING, _UNUSED_ENCODING),
    "pretrained.*": Key(NOTHING, "see `pretrained.dir`."),
    "prep.*": Key(NOTHING, f"{_NO_EXPANDER}."),
    "pretrained.dir": Key(REFUSED, "checkpoints of other packages are not read; leave it out to start anew", ("",)),
    "pretrained.freeze_main": Key(NOTHING, "see `pretrained.dir`."),
    "pretrained.reset_prediction_head": Key(NOTHING, "see `pretrained.dir`."),
    "print": Key(SAME, "Where the progress goes."),
    "round": Key(NOTHING, "metrics are not rounded."),
    "run_multiple_splits": Key(SAME, "Splits of one graph, each with a run; refused for other data sets."),
    "seed": Key(SAME, "Seed."),
    "share.*": Key(NOTHING, "it describes the data set, and the data set is read."),
    "tensorboard_agg": Key(NOTHING, "`tensorboard_each_run` writes TensorBoard events."),
    "train.auto_resume": Key(SAME, "Whether to continue the newest run of the same settings."),
    "train.batch_size": Key(SAME, "Graphs of a batch."),
    "train.ckpt_best": Key(SAME, "Whether the best epoch is kept and tested."),
    "train.ckpt_clean": Key(NOTHING, "old checkpoints are not kept."),
    "train.ckpt_period": Key(SAME, "Epochs between checkpoints that are kept."),
    "train.enable_ckpt": Key(SAME, "Whether checkpoints are written."),
    "train.epoch_resume": Key(SAME, "Only -1: `train.auto_resume` continues the newest epoch."),
    "train.eval_period": Key(SAME, "Epochs between validations."),
    SCALES_SUPERPIXELS: Key(LISTED, "Dirichlet energy, distances and norms of nodes are not measured", (False,)),
    "train.finetune": Key(REFUSED, "train.start_from takes runs of this package", ("",)),
    "train.mode": Key(SAME, "`custom` or `standard`; inference alone is `pyg-samsa predict`."),
    "train.sampler": Key(NOTHING, "graphs are never cut."),
    "val.sampler": Key(NOTHING, "graphs are never cut."),
    "wandb.entity": Key(SAME, "Team."),
    "wandb.name": Key(SAME, "Name of the run."),
    "wandb.project": Key(SAME, "Project."),
    "wandb.use": Key(READ, "Whether to log to Weights & Biases; listed and left out where the package is missing."),
}  # fmt: skip
"""Every setting, by its name; ``group.*`` stands for all others of a group."""

NETWORKS: Mapping[str, str] = {
    "GPSModel": "gps",
    "MultiModel": "gps",
    "Graphormer": "graphormer",
    "SANTransformer": "san",
    "custom_gnn": "",
}
"""``model.type`` there -> here; ``custom_gnn`` is one of :obj:`CONVOLUTIONS`, ``SANTransformer`` also ``san2``."""
REFUSED_NETWORKS: Mapping[str, str] = {
    "Performer": "the network Performer is not part of this package; GPSModel has layers None+Performer",
    "BigBird": "the network BigBird is not part of this package; GPSModel has layers None+SAMSA",
    "Exphormer": _NO_EXPANDER,
}
LAYERS_OF_SAN: Mapping[str, str] = {"SANLayer": "san", "SAN2Layer": "san2"}
"""``gt.layer_type`` of ``SANTransformer`` -> ``model.type`` here."""
CONVOLUTIONS: Mapping[str, str] = {
    "gatedgcnconv": "gatedgcn",
    "gineconv": "gine",
    "gcnconv": "gcn",
    "gcniiconv": "gcnii",
    "mlp": "mlp",
}
"""``gnn.layer_type`` of ``custom_gnn`` -> ``model.type`` here."""
REFUSED_ATTENTION: Mapping[str, str] = {
    "Exphormer": _NO_EXPANDER,
    "BigBird": "the attention BigBird is not part of this package",
    "None": "a block without attention is not GPS's; custom_gnn has message passing alone",
}
DISTANCES = "EquivStableLapPE"
"""An encoding whose distances weight messages (``pe.role``); it is not added to the nodes."""
ENCODINGS: Mapping[str, str] = {"LapPE": "spectrum", "RWSE": "rwse", DISTANCES: "lap1"}
"""Encodings in the name of a node encoder -> ``pe.kind``."""
BIAS = "GraphormerBias"
"""The encoding in the name of a node encoder that becomes ``graphormer.*``."""
WITHOUT_DISTANCES = (None, "gcn", "gin")
"""Message passing that does not read :obj:`DISTANCES` there; other kinds than these and those that do fail."""
SUPERPIXEL_ENCODERS = ("VOCNode", "VOCEdge", "COCONode", "COCOEdge")
_SCALED = "the same, with `dataset.scale_features True`, as in the repository that has this name"
NODE_ENCODERS: Mapping[str, str] = {
    "Atom": "OGB's nine atom features",
    "LinearNode": "a linear map of float features",
    "TypeDictNode": "an embedding of types",
    "VOCNode": "a linear map of the features of superpixels",
    "COCONode": _SCALED,
    "ASTNode": "a sum of embeddings of type, attribute and depth of the nodes of ogbg-code2",
    "PPANode": "one learned vector for all nodes of ogbg-ppa",
    "": "a linear map of float features, where only an encoding is named",
}
EDGE_ENCODERS: Mapping[str, str] = {
    "Bond": "OGB's three bond features",
    "LinearEdge": "a linear map of float features",
    "TypeDictEdge": "an embedding of types",
    "VOCEdge": "a linear map of the features of superpixels",
    "COCOEdge": _SCALED,
    "ASTEdge": "a sum of embeddings of kind and direction of the edges of ogbg-code2",
    "PPAEdge": "a linear map of the seven features of the edges of ogbg-ppa",
    "DummyEdge": "one learned vector for all edges",
}
HEADS: Mapping[str, str] = {
    "default": "the head that fits the data set",
    "graph": "pooling, then `gnn.layers_post_mp` linear layers",
    "san_graph": "pooling, then three linear layers that halve the channels",
    "graphormer_graph": "a layer norm, pooling, then one linear layer",
    "ogb_code_graph": "pooling, then one linear layer for each word of the sequence",
    "inductive_node": "a prediction for each node of many graphs",
    "node": "a prediction for each node of one graph, or of many",
    "inductive_edge": "a prediction for each labelled pair of nodes, see `model.edge_decoding`",
}
REFUSED_HEADS: Mapping[str, str] = {
    "infer_links": "links that the edges of a graph are split into are not part of this package",
}
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "gps": {
        "gt.layers": 3,
        "gt.n_heads": 8,
        "gt.dim_hidden": 64,
        "gt.dropout": 0.0,
        "gt.attn_dropout": 0.0,
        "gt.batch_norm": True,
    },
    "custom_gnn": {"gnn.residual": False},
    "warmup": {"optim.num_warmup_epochs": 50.0},
}
"""Values there of settings that a file leaves out, where those of this package differ."""


def find_key(name: str) -> Key | None:
    """Return what a setting of those repositories means here, or None for one that the table does not have.

    Args:
        name: Dotted name.

    Example:
        >>> find_key("prep.exp_deg").handled, find_key("samsa.layers")
        ('nothing', None)
    """
    parts = name.split(".")
    wildcards = (".".join([*parts[:count], "*"]) for count in range(len(parts) - 1, 0, -1))
    return next((KEYS[known] for known in (name, *wildcards) if known in KEYS), None)
