"""Configurations in the form of those of GraphGPS, LRGB and Exphormer: they load, or the part that cannot is named."""

import importlib.util

import pytest
import torch
import yaml
from torch_geometric.data import Data, InMemoryDataset
from torch_geometric.graphgym import register

from pyg_samsa.chem.ogb_features import ATOM_CARDINALITIES, BOND_CARDINALITIES
from pyg_samsa.datasets.features import Features
from pyg_samsa.errors import ConfigError
from pyg_samsa.experiments import run as runner
from pyg_samsa.graphgym import graphgps, loader
from pyg_samsa.graphgym.baselines import gnn_options
from pyg_samsa.graphgym.checks import check_run
from pyg_samsa.graphgym.config import cfg, load_config
from pyg_samsa.graphgym.own_head import LEVEL_OF_HEAD
from pyg_samsa.task import Task
from pyg_samsa.training.run_files import read_table
from pyg_samsa.training.run_record import read_run
from pyg_samsa.viz.report import write_report
from tests import code2_files, geom_gcn_files, malnet_files, pcqm4m_files, ppa_files

REGIONS, WEIGHTED = "edge_wt_region_boundary", "weighted_cross_entropy"
# Format and name of a data set, task, loss, metric, edge encoder.
DATA = {
    "zinc": ("PyG-ZINC", "subset", "regression", "l1", "mae", "TypeDictEdge"),
    "hiv": ("OGB", "ogbg-molhiv", "classification", "cross_entropy", "auc", "Bond"),
    "pcba": ("OGB", "ogbg-molpcba", "classification_multilabel", "cross_entropy", "ap", "Bond"),
    "func": ("OGB", "peptides-functional", "classification_multilabel", "cross_entropy", "ap", "Bond"),
    "struct": ("OGB", "peptides-structural", "regression", "l1", "mae", "Bond"),
    "pcqm4m": ("OGB", "PCQM4Mv2-full", "regression", "l1", "mae", "Bond"),
    "contact": ("OGB", "PCQM4Mv2Contact-shuffle", "classification", "cross_entropy", "mrr", "Bond"),
    "code": ("OGB", "ogbg-code2", "subtoken_prediction", "cross_entropy", "f1", "ASTEdge"),
    "ppa": ("OGB", "ogbg-ppa", "classification", "cross_entropy", "accuracy", "PPAEdge"),
    "voc": ("PyG-VOCSuperpixels", REGIONS, "classification", WEIGHTED, "f1", "VOCEdge"),
    "coco": ("PyG-COCOSuperpixels", REGIONS, "classification", WEIGHTED, "f1", "VOCEdge"),
    "cifar": ("PyG-GNNBenchmarkDataset", "CIFAR10", "classification", "cross_entropy", "accuracy", "LinearEdge"),
    "cluster": ("PyG-GNNBenchmarkDataset", "CLUSTER", "classification", WEIGHTED, "accuracy-SBM", "DummyEdge"),
    "malnet": ("PyG-MalNetTiny", "LocalDegreeProfile", "classification", "cross_entropy", "accuracy", "DummyEdge"),
    "actor": ("PyG-Actor", "none", "classification", "cross_entropy", "accuracy", "DummyEdge"),
    "coauthor": ("PyG-Coauthor", "cs", "classification", "cross_entropy", "accuracy", "DummyEdge"),
    "webkb": ("PyG-WebKB", "cornell", "classification", "cross_entropy", "accuracy", "DummyEdge"),
}  # fmt: skip
GATED, SLOW = "CustomGatedGCN+Transformer", "CustomGatedGCN+Performer"
GINE, BIASED = "GINE+Transformer", "GINE+BiasedTransformer"
NODE = "dataset.node_encoder_name"
# Data, network, layer, node encoder, head, pooling -> the setting that is refused; nothing where the file loads.
FORMS = {
    ("func", "custom_gnn", "gineconv", "Atom", None, "mean"): "",
    ("struct", "custom_gnn", "gineconv", "Atom", None, "mean"): "",
    ("coco", "custom_gnn", "gineconv", "VOCNode", "inductive_node", None): "",
    ("voc", "custom_gnn", "gineconv", "VOCNode", "inductive_node", None): "",
    ("contact", "custom_gnn", "gineconv", "Atom", "inductive_edge", None): "",
    ("func", "custom_gnn", "gatedgcnconv", "Atom", None, "mean"): "",
    ("struct", "custom_gnn", "gatedgcnconv", "Atom", None, "mean"): "",
    ("coco", "custom_gnn", "gatedgcnconv", "VOCNode", "inductive_node", None): "",
    ("voc", "custom_gnn", "gatedgcnconv", "VOCNode", "inductive_node", None): "",
    ("contact", "custom_gnn", "gatedgcnconv", "Atom", "inductive_edge", None): "",
    ("func", "custom_gnn", "gatedgcnconv", "Atom+RWSE", "default", "mean"): "",
    ("voc", "custom_gnn", "gatedgcnconv", "VOCNode+LapPE", "inductive_node", None): "",
    ("func", "custom_gnn", "gcniiconv", "Atom", "default", "mean"): "",
    ("func", "custom_gnn", "mlp", "Atom", "default", "mean"): "",
    ("func", "gnn", "gcnconv", "Atom", None, "mean"): "",
    ("func", "gnn", "gcnconv", "Atom+LapPE", None, "mean"): NODE,
    ("zinc", "GPSModel", GINE, "TypeDictNode+RWSE", "san_graph", "add"): "",
    ("zinc", "GPSModel", GINE, "TypeDictNode+LapPE", "san_graph", "add"): "",
    ("zinc", "GPSModel", GINE, "TypeDictNode+SignNet", "san_graph", "add"): NODE,
    ("zinc", "GPSModel", GINE, "TypeDictNode+EquivStableLapPE", "san_graph", "add"): "",
    ("zinc", "GPSModel", "GINE+SAMSA", "TypeDictNode+EquivStableLapPE", "san_graph", "add"): "",
    ("zinc", "GPSModel", "PNA+Transformer", "TypeDictNode+EquivStableLapPE", "san_graph", "add"): "gt.layer_type",
    ("zinc", "GPSModel", GINE, "TypeDictNode+EquivStableLapPE+RWSE", "san_graph", "add"): NODE,
    ("func", "gnn", "gcnconv", "Atom+EquivStableLapPE", None, "mean"): NODE,
    ("zinc", "GPSModel", GINE, "TypeDictNode+LapPE+RWSE", "san_graph", "add"): "",
    ("zinc", "GPSModel", BIASED, "TypeDictNode+GraphormerBias", "san_graph", "graph_token"): "",
    ("zinc", "GPSModel", BIASED, "TypeDictNode+GraphormerBias+RWSE", "san_graph", "add"): "",
    ("zinc", "GPSModel", "GINE+SAMSA", "TypeDictNode+RWSE", "san_graph", "add"): "",
    ("hiv", "GPSModel", GATED, "Atom+RWSE", "san_graph", "mean"): "",
    ("hiv", "GPSModel", GATED, "Atom+RWSE", "default", "mean"): "",
    ("hiv", "GPSModel", GATED, "Atom+LapPE", "san_graph", "mean"): "",
    ("hiv", "GPSModel", GATED, "Atom+EquivStableLapPE", "san_graph", "mean"): "",
    ("pcba", "GPSModel", GATED, "Atom+RWSE", "default", "mean"): "",
    ("pcba", "GPSModel", GATED, "Atom+LapPE", "default", "mean"): "",
    ("pcba", "GPSModel", GATED, "Atom+LapPE+RWSE", "default", "mean"): "",
    ("pcba", "GPSModel", GATED, "Atom+SignNet", "default", "mean"): NODE,
    ("pcba", "GPSModel", GATED, "Atom+SignNet+RWSE", "default", "mean"): NODE,
    ("func", "GPSModel", GATED, "Atom+LapPE", "default", "mean"): "",
    ("struct", "GPSModel", GATED, "Atom+LapPE", "default", "mean"): "",
    ("func", "GPSModel", "None+Transformer", "Atom+LapPE", "default", "mean"): "",
    ("pcqm4m", "GPSModel", GATED, "Atom+RWSE", "san_graph", "mean"): "",
    ("pcqm4m", "GPSModel", GATED, "Atom+LapPE", "san_graph", "mean"): "",
    ("pcqm4m", "GPSModel", GATED, "Atom+SignNet", "san_graph", "mean"): NODE,
    ("contact", "GPSModel", GATED, "Atom+LapPE", "inductive_edge", None): "",
    ("voc", "GPSModel", GATED, "VOCNode+LapPE", "inductive_node", None): "",
    ("coco", "GPSModel", GATED, "VOCNode+LapPE", "inductive_node", None): "",
    ("cifar", "GPSModel", GATED, "RWSE", "default", "mean"): "",
    ("cifar", "GPSModel", GATED, "LapPE", "default", "mean"): "",
    ("cifar", "GPSModel", GATED, "SignNet", "default", "mean"): NODE,
    ("cifar", "GPSModel", GATED, "LinearNode+EquivStableLapPE", "default", "mean"): "",
    ("cluster", "GPSModel", GATED, "LapPE", "inductive_node", None): "",
    ("cluster", "GPSModel", GATED, "LinearNode+EquivStableLapPE", "inductive_node", None): "",
    ("malnet", "GPSModel", SLOW, None, "default", "max"): "",
    ("malnet", "GPSModel", SLOW, "RWSE", "default", "max"): "",
    ("malnet", "GPSModel", SLOW, "LapPE", "default", "max"): "",
    ("malnet", "GPSModel", SLOW, "SignNet", "default", "max"): NODE,
    ("code", "GPSModel", SLOW, "ASTNode", "ogb_code_graph", "mean"): "",
    ("code", "GPSModel", "GINE+SAMSA", "ASTNode+RWSE", "ogb_code_graph", "mean"): "",
    ("code", "custom_gnn", "gatedgcnconv", "ASTNode", "ogb_code_graph", "mean"): "",
    ("ppa", "GPSModel", SLOW, "PPANode", "default", "mean"): "",
    ("ppa", "GPSModel", "GINE+SAMSA", "PPANode+LapPE", "default", "mean"): "",
    ("pcqm4m", "GPSModel", GATED, "Atom+EquivStableLapPE", "san_graph", "mean"): "",
    ("malnet", "GPSModel", SLOW, "LinearNode+EquivStableLapPE", "default", "max"): "",
    ("actor", "GPSModel", "GCN+Transformer", "LapPE", "node", None): "",
    ("webkb", "GPSModel", "GCN+Transformer", "LapPE", "node", None): "",
    ("coauthor", "GPSModel", "GCN+Transformer", "LapPE", "node", None): "",
    ("coauthor", "MultiModel", "GCN+Exphormer", "LinearNode", "default", None): "gt.layer_type",
    ("webkb", "Graphormer", None, "LinearNode+GraphormerBias", "node", None): "",
    ("zinc", "Graphormer", None, "TypeDictNode+GraphormerBias", "graphormer_graph", "graph_token"): "",
    ("zinc", "Graphormer", None, "TypeDictNode", "graphormer_graph", "mean"): NODE,
    ("zinc", "SANTransformer", None, "TypeDictNode+LapPE", "san_graph", "add"): "",
    ("zinc", "SANTransformer", "SAN2Layer", "TypeDictNode+LapPE", "san_graph", "add"): "",
    ("zinc", "SANTransformer", GINE, "TypeDictNode+LapPE", "san_graph", "add"): "gt.layer_type",
    ("voc", "SANTransformer", None, "VOCNode+LapPE", "inductive_node", None): "",
    ("cluster", "SANTransformer", None, "LapPE", "inductive_node", None): "",
    ("contact", "SANTransformer", None, "Atom+LapPE", "inductive_edge", None): "",
    ("func", "SANTransformer", None, "Atom+LapPE", "default", "mean"): "",
    ("cifar", "MultiModel", "CustomGatedGCN+Exphormer", "LinearNode", "default", "mean"): "gt.layer_type",
    ("func", "MultiModel", GATED, "Atom+LapPE", "default", "mean"): "",
}  # fmt: skip
EIGEN = {"laplacian_norm": "none", "eigvec_norm": "L2", "max_freqs": 3}
ENCODINGS = {
    "LapPE": {"enable": True, "eigen": EIGEN, "model": "DeepSet", "dim_pe": 4, "layers": 2, "raw_norm_type": "none"},
    "RWSE": {
        "enable": True,
        "kernel": {"times_func": "range(1,6)"},
        "model": "Linear",
        "dim_pe": 3,
        "raw_norm_type": "BatchNorm",
    },
    "SignNet": {"enable": True, "model": "MLP", "dim_pe": 4, "phi_out_dim": 4, "eigen": EIGEN},
    "EquivStableLapPE": {"enable": True, "raw_norm_type": "none", "eigen": EIGEN},
    "GraphormerBias": {"enable": True, "num_spatial_types": 20, "num_in_degrees": 16, "num_out_degrees": 16},
}


def content(data, network, layer, node, head, pooling):
    """Return a configuration in the form of a repository's own, with small values."""
    format, name, task_type, loss, metric, edge = DATA[data]
    transductive = head == "node"
    dataset = {"format": format, "name": name, "task": "node" if transductive else "graph", "task_type": task_type}
    dataset |= {"transductive": transductive, "node_encoder": node is not None, "node_encoder_bn": False}
    dataset |= {"edge_encoder": network != "gnn", "edge_encoder_name": edge, "edge_encoder_bn": False}
    if data == "zinc":
        dataset |= {"node_encoder_num_types": 28, "edge_encoder_num_types": 4}
    if data in ("voc", "coco"):
        dataset["slic_compactness"] = 30
    if node is not None:
        dataset["node_encoder_name"] = node
    gnn = {"layers_pre_mp": 0, "layers_post_mp": 2, "dim_inner": 8, "act": "relu", "dropout": 0.0}
    gnn |= {"agg": "mean", "normalize_adj": False, "batchnorm": True}
    gnn |= {"head": head} if head else {}
    optim = {"optimizer": "adamW", "weight_decay": "1e-5", "base_lr": 0.001, "max_epoch": 3, "clip_grad_norm": True}
    optim |= {"scheduler": "cosine_with_warmup", "num_warmup_epochs": 1}
    written = {
        "out_dir": "results",
        "metric_best": metric,
        "wandb": {"use": True, "project": data},
        "dataset": dataset,
        "train": {"mode": "custom", "batch_size": 8, "eval_period": 1, "ckpt_period": 100},
        "model": {"type": network, "loss_fun": loss} | ({"graph_pooling": pooling} if pooling else {}),
        "gnn": gnn,
        "optim": optim,
    }
    if task_type == "regression":
        written["metric_agg"] = "argmin"
    if network in ("custom_gnn", "gnn"):
        gnn |= {"layer_type": layer, "layers_mp": 2, "residual": True}
        plateau = {"scheduler": "reduce_on_plateau", "reduce_factor": 0.5, "schedule_patience": 2, "min_lr": "1e-5"}
        written["optim"] = {key: optim[key] for key in list(optim)[:4]} | plateau
    else:
        written["gt"] = {"layers": 2, "n_heads": 2, "dim_hidden": 8, "dropout": 0.0, "attn_dropout": 0.5}
        written["gt"] |= {"layer_norm": False, "batch_norm": True} | ({"layer_type": layer} if layer else {})
    if network == "SANTransformer":
        written["gt"] |= {"full_graph": True, "gamma": "1e-1", "residual": True}
    if network == "MultiModel":
        written["prep"] = {"exp": True, "exp_deg": 5, "num_virt_node": 1, "add_edge_index": True}
    if network == "Graphormer":
        written["graphormer"] = {"num_layers": 2, "embed_dim": 8, "num_heads": 2, "use_graph_token": head != "node"}
    for part in (node or "").split("+"):
        if part in ENCODINGS:
            written[f"posenc_{part}"] = ENCODINGS[part]
    return written


@pytest.fixture
def write(tmp_path):
    """Writes the configuration of a form, and changes some settings of it: ``write(form, gt={"layers": 3})``."""

    def made(form, **changes):
        written = content(*form)
        for key, value in changes.items():
            written[key] = {**written.get(key, {}), **value} if isinstance(value, dict) else value
        path = tmp_path / "form.yaml"
        path.write_text(yaml.safe_dump(written, sort_keys=False))
        return path

    return made


@pytest.mark.parametrize("form", FORMS, ids=lambda form: "-".join(map(str, form)))
def test_every_form_loads_up_to_the_data_or_names_what_it_cannot(form, write, monkeypatch):
    refused = FORMS[form]
    monkeypatch.setattr(graphgps, "has_wandb", lambda: False)
    monkeypatch.setattr(register, "loader_dict", {})  # with a loader of other code, data sets are known when loaded
    monkeypatch.setitem(register.loader_dict, "samsa", loader.load_for_graphgym)
    if not refused:
        loaded = load_config(write(form))
        check_run()
        assert cfg.optim.max_epoch == 3
        assert (cfg.pe.kind == "none") == (not {"LapPE", "RWSE", "EquivStableLapPE"} & set((form[3] or "").split("+")))
        assert loaded.translation.notes
        assert not any(note.startswith(("posenc_LapPE", "posenc_RWSE")) for note in loaded.translation.notes)
        return
    with pytest.raises(ConfigError) as caught:
        load_config(write(form))
    assert caught.value.key.startswith(refused)
    assert "\n" not in str(caught.value)
    assert caught.value.hint or caught.value.expected


FEATURES = {"Atom": (ATOM_CARDINALITIES, BOND_CARDINALITIES), "TypeDictNode": ([28], [4]), "VOCNode": (14, 2)}
FEATURES["COCONode"] = FEATURES["VOCNode"]


class StandIn(InMemoryDataset):
    """Twelve random graphs with the features and the task of a data set."""

    def __init__(self, form):
        super().__init__(None)
        task_type, level = DATA[form[0]][2], LEVEL_OF_HEAD.get(form[4], "graph")
        self.kind = {
            "classification": "binary" if form[0] in ("hiv", "contact") else "multiclass",
            "regression": "regression",
        }.get(task_type, "multilabel")
        channels = FEATURES.get((form[3] or "").partition("+")[0], (5, 1 if form[0] == "cifar" else None))
        self.features = Features(*channels)
        self.task = Task(self.kind, ["a", "b"] if self.kind[0] == "m" else ["a"], level)
        generator = torch.Generator().manual_seed(0)
        self._data, self.slices = self.collate([self.graph(number, generator) for number in range(12)])
        self.split_idx = {"train": torch.arange(8), "val": torch.arange(8, 10), "test": torch.arange(10, 12)}

    def graph(self, number, generator):
        nodes = 4 + number % 3
        path = torch.stack([torch.arange(nodes - 1), torch.arange(1, nodes)])
        edges = torch.cat([path, path.flip(0)], 1)
        if self.task.level == "link":
            return self.with_pairs(nodes, edges, generator)
        shape = (nodes if self.task.level == "node" else 1, self.task.num_targets)
        y = torch.randn(shape, generator=generator)
        if self.kind == "multiclass":
            y = (y[:, 0] > 0).long()
        elif self.kind != "regression":
            y = torch.tensor([[float((number + column) % 2) for column in range(shape[1])]])
        x, edge_attr = (self.random(width, count, generator) for width, count in self.widths(nodes, edges.size(1)))
        return Data(x=x, edge_index=edges, y=y, **({} if edge_attr is None else {"edge_attr": edge_attr}))

    def with_pairs(self, nodes, edges, generator):
        """A graph whose ends are in contact, in both directions; other pairs have no label, as in the benchmark."""
        x, edge_attr = (self.random(width, count, generator) for width, count in self.widths(nodes, edges.size(1)))
        pairs = torch.tensor([[0, nodes - 1], [nodes - 1, 0]])
        return Data(x=x, edge_index=edges, edge_attr=edge_attr, edge_label_index=pairs, edge_label=torch.ones(2))

    def widths(self, nodes, edges):
        return (self.features.in_channels, nodes), (self.features.edge_channels, edges)

    @staticmethod
    def random(width, count, generator):
        if width is None:
            return None
        if isinstance(width, int):
            return torch.randn(count, width, generator=generator)
        return torch.randint(2, (count, len(width)), generator=generator)


TRAINED = [
    ("func", "custom_gnn", "gineconv", "Atom", None, "mean"),
    ("voc", "custom_gnn", "gatedgcnconv", "VOCNode+LapPE", "inductive_node", None),
    ("zinc", "GPSModel", GINE, "TypeDictNode+RWSE", "san_graph", "add"),
    ("zinc", "GPSModel", "GINE+SAMSA", "TypeDictNode+RWSE", "san_graph", "add"),
    ("hiv", "GPSModel", GATED, "Atom+LapPE", "san_graph", "mean"),
    ("struct", "GPSModel", GATED, "Atom+LapPE", "default", "mean"),
    ("func", "GPSModel", "None+Transformer", "Atom+LapPE", "default", "mean"),
    ("cifar", "GPSModel", GATED, "RWSE", "default", "mean"),
    ("cluster", "GPSModel", GATED, "LapPE", "inductive_node", None),
    ("malnet", "GPSModel", SLOW, None, "default", "max"),
    ("contact", "custom_gnn", "gatedgcnconv", "Atom", "inductive_edge", None),
    ("contact", "gnn", "gcnconv", "Atom", "inductive_edge", None),
    ("coco", "custom_gnn", "gcnconv", "COCONode", "inductive_node", None),
    ("zinc", "GPSModel", "GINE+SAMSA", "TypeDictNode+LapPE+RWSE", "san_graph", "add"),
    ("zinc", "GPSModel", GINE, "TypeDictNode+LapPE+RWSE", "san_graph", "add"),
    ("zinc", "GPSModel", BIASED, "TypeDictNode+GraphormerBias", "san_graph", "graph_token"),
    ("zinc", "GPSModel", BIASED, "TypeDictNode+GraphormerBias+RWSE", "san_graph", "add"),
    ("zinc", "Graphormer", None, "TypeDictNode+GraphormerBias", "graphormer_graph", "graph_token"),
    ("zinc", "GPSModel", GINE, "TypeDictNode+EquivStableLapPE", "san_graph", "add"),
    ("zinc", "GPSModel", "GINE+SAMSA", "TypeDictNode+EquivStableLapPE", "san_graph", "add"),
    ("hiv", "GPSModel", GATED, "Atom+EquivStableLapPE", "san_graph", "mean"),
    ("cluster", "GPSModel", GATED, "LinearNode+EquivStableLapPE", "inductive_node", None),
    ("zinc", "SANTransformer", None, "TypeDictNode+LapPE", "san_graph", "add"),
    ("zinc", "SANTransformer", "SAN2Layer", "TypeDictNode+LapPE", "san_graph", "add"),
    ("voc", "SANTransformer", None, "VOCNode+LapPE", "inductive_node", None),
    ("cluster", "SANTransformer", None, "LapPE", "inductive_node", None),
]


@pytest.mark.parametrize("form", TRAINED, ids=lambda form: "-".join(map(str, form)))
def test_forms_train_an_epoch(form, write, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(graphgps, "has_wandb", lambda: False)
    monkeypatch.setattr(loader.catalog, "knows", lambda format, name: True)
    monkeypatch.setattr(loader.catalog, "is_transductive", lambda format, name: False)
    monkeypatch.setattr(loader.catalog, "option_names", lambda format, name: ["slic_compactness"])
    monkeypatch.setattr(loader.catalog, "load", lambda format, name, root, progress, **options: StandIn(form))
    monkeypatch.setattr(runner, "draw_run", lambda *_, **__: None)
    opts = {"optim.max_epoch": 1, "optim.num_warmup_epochs": 0, "num_threads": 1, "accelerator": "cpu"}
    opts |= {"out_dir": tmp_path / "out", "dataset.dir": tmp_path / "data"}
    if form[2] == "GINE+SAMSA":
        opts["samsa.num_samples"] = 4
    (result,) = runner.run(write(form), [str(word) for pair in opts.items() for word in pair])
    assert result.test["loss"] > 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "not honoured" in shown
    assert "the package wandb is not installed" in shown
    # What is written runs again in this package's own settings.
    again = load_config(result.folder.file("config.yaml"))
    assert again.translation is None or not again.translation.notes
    names = {"LapPE": "spectrum", "RWSE": "rwse", "EquivStableLapPE": "lap1"}
    assert cfg.pe.role == ("mapped_gate" if "EquivStable" in (form[3] or "") else "add")
    assert cfg.pe.kind == ("+".join(names[part] for part in (form[3] or "").split("+") if part in names) or "none")


@pytest.mark.parametrize("form", [form for form in FORMS if form[0] == "code"], ids=lambda form: "-".join(form[1:4]))
def test_sequences_of_words_train_from_raw_files(form, write, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(graphgps, "has_wandb", lambda: False)
    code2_files.write(tmp_path / "data")
    opts = {"optim.max_epoch": 2, "optim.num_warmup_epochs": 0, "num_threads": 1, "accelerator": "cpu"}
    opts |= {"out_dir": tmp_path / "out", "dataset.dir": tmp_path / "data", "train.auto_resume": True}
    opts |= {"samsa.num_samples": 4} if form[2] == "GINE+SAMSA" else {}
    (result,) = runner.run(write(form), [str(word) for pair in opts.items() for word in pair])
    assert 0 < result.test["loss"] < 10
    assert 0 <= result.test["f1_words"] <= 1
    assert "5 words of" in " ".join(capsys.readouterr().out.split())
    assert not result.folder.file("predictions_test.csv").exists()
    assert write_report([read_run(result.folder.path)], tmp_path / "report.html").is_file()
    (again,) = runner.run(write(form), [str(word) for pair in opts.items() for word in pair])
    assert (again.reused, again.test) == (True, result.test)
    if form[2] != "GINE+SAMSA":
        assert gnn_options("gps" if form[1] == "GPSModel" else "gatedgcn")["head_layers"] == 1


@pytest.mark.parametrize(
    ("data", "name", "changes"),
    [
        ("webkb", "texas", {"split_mode": "standard", "split_index": 7}),
        ("actor", "actor", {}),
        ("webkb", "texas", {"split_mode": "random", "split": [0.5, 0.25, 0.25], "name": "Texas"}),
    ],
)
def test_nodes_of_one_graph_train_from_raw_files(data, name, changes, write, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(runner, "draw_run", lambda *_, **__: None)
    geom_gcn_files.shrink(monkeypatch)
    geom_gcn_files.write(tmp_path / "data", name)
    form = (data, "GPSModel", "GCN+Transformer", "LapPE", "node", None)
    dataset = {**content(*form)["dataset"], **({"name": name} if data == "webkb" else {}), **changes}
    opts = {"optim.max_epoch": 2, "optim.num_warmup_epochs": 0, "num_threads": 1, "accelerator": "cpu"}
    opts |= {"out_dir": tmp_path / "out", "dataset.dir": tmp_path / "data"}
    (result,) = runner.run(write(form, dataset=dataset), [str(word) for pair in opts.items() for word in pair])
    assert 0 < result.test["loss"] < 100
    sizes = "12 train / 6 val / 6 test" if "split" in changes else "12 train / 7 val / 5 test"
    assert f"{sizes} nodes of one graph" in " ".join(capsys.readouterr().out.split())
    masks = geom_gcn_files.masks(changes.get("split_index", 0)).astype(bool)
    _, classes = geom_gcn_files.nodes()
    rows = read_table(result.folder.file("predictions_test.csv"))
    nodes = rows["node"].tolist()
    if "split" in changes:
        assert len(nodes) == 6
    else:
        assert nodes == masks[2].nonzero()[0].tolist()
    assert rows["true"].tolist() == classes[nodes].tolist()
    assert result.test["accuracy"] == pytest.approx((rows["true"] == rows["pred"]).mean())
    # What is written runs again with the same split.
    load_config(result.folder.file("config.yaml"))
    check_run()
    again = loader.load_for_runner(progress=False)
    assert again[2].y.ge(0).nonzero().flatten().tolist() == nodes


def test_several_splits_are_as_many_runs_with_one_seed(write, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(runner, "draw_run", lambda *_, **__: None)
    geom_gcn_files.shrink(monkeypatch)
    geom_gcn_files.write(tmp_path / "data", "texas")
    form = ("webkb", "GPSModel", "GCN+Transformer", "LapPE", "node", None)
    path = write(form, dataset={**content(*form)["dataset"], "name": "texas"})
    opts = {"optim.max_epoch": 2, "optim.num_warmup_epochs": 0, "num_threads": 1, "accelerator": "cpu", "seed": 3}
    opts |= {"out_dir": tmp_path / "out", "dataset.dir": tmp_path / "data", "train.auto_resume": True}
    words = [str(word) for pair in opts.items() for word in pair]
    results = runner.run(path, [*words, "run_multiple_splits", "[0, 4]"])
    text = " ".join(capsys.readouterr().out.split())
    assert "split0 · seed 3 (1 of 2)" in text
    assert "mean ± standard deviation of 2 repeats" in text
    folders = [result.folder.path for result in results]
    assert [folder.relative_to(tmp_path / "out").as_posix().rpartition("-")[2] for folder in folders] == [
        "split0/3",
        "split4/3",
    ]
    for split, result in zip((0, 4), results, strict=True):
        rows = read_table(result.folder.file("predictions_test.csv"))
        assert rows["node"].tolist() == geom_gcn_files.masks(split)[2].nonzero()[0].tolist()
        # Each is the run of this split alone, and its config runs it again.
        (alone,) = runner.run(path, [*words, "dataset.split_index", str(split), "name_tag", "alone"])
        assert alone.test == result.test
        (again,) = runner.run(result.folder.file("config.yaml"), [])
        assert again.folder.path == result.folder.path
    continued = runner.run(path, [*words, "run_multiple_splits", "[0, 4]"])
    assert [result.folder.path for result in continued] == folders
    # The last split does not exist: this is found before the first is run.
    with pytest.raises(ConfigError, match="split_index: got 10, expected a number of at least 0, of at most 9"):
        runner.run(path, [*words, "run_multiple_splits", "[1, 10]"])
    assert not (tmp_path / "out" / "form-split1").exists()


@pytest.mark.parametrize(
    ("files", "form", "sizes"),
    [
        (malnet_files, ("malnet", "GPSModel", SLOW, "LapPE", "default", "max"), (10, 3, 2)),
        (malnet_files, ("malnet", "GPSModel", SLOW, None, "default", "max"), (10, 3, 2)),
        (pcqm4m_files, ("pcqm4m", "GPSModel", GATED, "Atom+RWSE", "san_graph", "mean"), (25, 5, 6)),
    ],
)
def test_graphs_train_from_raw_files(files, form, sizes, write, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "draw_run", lambda *_, **__: None)
    files.shrink(monkeypatch)
    files.write(tmp_path / "data")
    opts = {"optim.max_epoch": 1, "optim.num_warmup_epochs": 0, "num_threads": 1, "accelerator": "cpu"}
    opts |= {"out_dir": tmp_path / "out", "dataset.dir": tmp_path / "data"}
    (result,) = runner.run(write(form), [str(word) for pair in opts.items() for word in pair])
    assert 0 < result.test["loss"] < 100
    assert len(read_table(result.folder.file("predictions_test.csv"))) == sizes[2]


@pytest.mark.parametrize(
    "form", [form for form in FORMS if form[0] == "ppa"], ids=lambda form: "-".join(map(str, form[2:4]))
)
def test_neighbourhoods_of_proteins_train_from_raw_files(form, write, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "draw_run", lambda *_, **__: None)
    ppa_files.write(tmp_path / "data")
    opts = {"optim.max_epoch": 1, "optim.num_warmup_epochs": 0, "num_threads": 1, "accelerator": "cpu"}
    opts |= {"out_dir": tmp_path / "out", "dataset.dir": tmp_path / "data"}
    opts |= {"samsa.num_samples": 4} if form[2] == "GINE+SAMSA" else {}
    (result,) = runner.run(write(form), [str(word) for pair in opts.items() for word in pair])
    assert 0 < result.test["loss"] < 100
    rows = read_table(result.folder.file("predictions_test.csv"))
    assert rows["row"].tolist() == sorted(ppa_files.SPLIT["test"])
    assert rows["true"].tolist() == [ppa_files.labels()[row] for row in rows["row"]]
    if importlib.util.find_spec("ogb") is not None:
        assert result.official == {"acc": pytest.approx(result.test["accuracy"], abs=1e-6)}


def test_a_graph_without_a_split_has_the_shares_of_the_file(write):
    form = ("coauthor", "GPSModel", "GCN+Transformer", "LapPE", "node", None)
    load_config(write(form, dataset={"split": [0.6, 0.2, 0.2], "split_index": 0}))
    check_run()
    assert loader._given_options() == {"fractions": [0.6, 0.2, 0.2]}
    load_config(write(form, dataset={"split_index": 1}))
    with pytest.raises(ConfigError, match=r"dataset.split_index: got 1, expected nothing"):
        check_run()


def test_splits_of_one_graph_are_named(write):
    form = ("webkb", "GPSModel", "GCN+Transformer", "LapPE", "node", None)
    with pytest.raises(ConfigError, match=r"dataset.split_mode: got 'cv-kfold-5', expected one of"):
        load_config(write(form, dataset={"split_mode": "cv-kfold-5"}))
    with pytest.raises(ConfigError, match=r"dataset.split_index: got 12"):
        load_config(write(form, dataset={"split_index": 12}))
    cluster = ("cluster", "GPSModel", GATED, "LapPE", "inductive_node", None)
    found = load_config(write(cluster, dataset={"split_index": 3, "split_mode": "standard"})).translation
    assert any(note.startswith("dataset.split_index 3: ") for note in found.notes)
    assert cfg.dataset.split_index is None
    check_run()
    with pytest.raises(ConfigError, match=r"dataset.transductive: got True, expected False with CLUSTER") as caught:
        load_config(write(cluster, dataset={"transductive": True}))
    assert "cornell" in caught.value.hint


def gps(**changes):
    """Return the settings of a configuration, with their values."""
    leaves = {
        "model.type": "GPSModel",
        "gt.layer_type": "GINE+Transformer",
        "dataset.node_encoder_name": "Atom+RWSE",
        "posenc_RWSE.enable": True,
        "posenc_RWSE.kernel.times_func": "range(1,17)",
        **{key.replace("__", "."): value for key, value in changes.items()},
    }
    return {key: value for key, value in leaves.items() if value is not None}


def values(leaves):
    return {key: taken.value for key, taken in graphgps.translate(leaves).settings.items()}


def test_encodings_keep_their_dimensions():
    assert {"pe.kind": "rwse", "pe.dim": 16, "dataset.node_encoder_name": "Atom"}.items() <= values(gps()).items()
    times = {"posenc_RWSE__kernel__times": [1, 2, 3], "posenc_RWSE__kernel__times_func": None}
    assert values(gps(**times))["pe.dim"] == 3
    lap = {"dataset.node_encoder_name": "LapPE", "posenc_LapPE.enable": True, "model.type": "GPSModel"}
    found = values(lap | {"gt.layer_type": GATED, "posenc_LapPE.eigen.max_freqs": 8})
    assert (found["pe.kind"], found["pe.dim"], found["dataset.node_encoder_name"]) == ("spectrum", 8, "LinearNode")
    assert values(lap | {"gt.layer_type": GATED})["pe.dim"] == 10


STABLE = {"dataset.node_encoder_name": "Atom+EquivStableLapPE", "posenc_EquivStableLapPE.enable": True}
STABLE |= {"posenc_RWSE.enable": None, "posenc_EquivStableLapPE.eigen.max_freqs": 8}


@pytest.mark.parametrize(
    ("layer", "role", "told"),
    [
        (GINE, "mapped_gate", ["second node of the batch"]),
        (GATED, "mapped_gate", []),
        ("GINE+SAMSA", "mapped_gate", ["second node of the batch"]),
        (
            "GCN+Transformer",
            None,
            ["weights no messages with gt.layer_type GCN+Transformer, there as here; use gt.layer_type GINE"],
        ),
        ("GIN+SAMSA", None, ["EquivStableLapPE weights no messages with"]),
        ("None+Transformer", None, ["EquivStableLapPE weights no messages with"]),
    ],
)
def test_distances_of_eigenvectors_weight_the_messages_that_they_weight_there(layer, role, told):
    leaves = {key: value for key, value in {**gps(gt__layer_type=layer), **STABLE}.items() if value is not None}
    found = graphgps.translate(leaves)
    chosen = {key: taken.value for key, taken in found.settings.items()}
    assert chosen["dataset.node_encoder_name"] == "Atom"
    assert chosen.get("pe.role") == role
    assert [chosen.get(key) for key in ("pe.kind", "pe.dim")] == (["lap1", 8] if role else [None, None])
    notes = [note for note in found.notes if "messages" in note or "second node" in note]
    assert len(notes) == len(told)
    assert all(text in note for text, note in zip(told, notes, strict=True))


def test_settings_of_distances_that_differ_are_listed():
    def notes(**settings):
        leaves = {key: value for key, value in {**gps(gt__layer_type=GATED), **STABLE}.items() if value is not None}
        found = graphgps.translate(leaves | {key.replace("__", "."): value for key, value in settings.items()})
        return [note.partition(":")[0] for note in found.notes if "posenc" in note.partition(":")[0]]

    own = "posenc_EquivStableLapPE"
    # The Laplacian of the group is not read there, that of posenc_LapPE is.
    assert notes(**{f"{own}__eigen__laplacian_norm": "none", f"{own}__raw_norm_type": "none"}) == []
    assert notes(posenc_LapPE__eigen__laplacian_norm="none") == ["posenc_LapPE.eigen.laplacian_norm none"]
    assert notes(**{f"{own}__raw_norm_type": "BatchNorm"}) == [f"{own}.raw_norm_type BatchNorm"]
    assert notes(**{f"{own}__eigen__eigvec_norm": "L1"}) == [f"{own}.eigen.eigvec_norm L1"]
    for network in ("custom_gnn", "SANTransformer"):
        leaves = {"model.type": network, "gnn.layer_type": "gatedgcnconv"} | STABLE
        found = graphgps.translate({key: value for key, value in leaves.items() if value is not None})
        assert "pe.kind" not in found.settings
        assert any(
            f"EquivStableLapPE weights no messages with model.type {network}, there as here" in note
            for note in found.notes
        )
    ours = {"model.type": "gatedgcn"} | STABLE
    found = graphgps.translate({key: value for key, value in ours.items() if value is not None})
    assert found.settings["pe.role"].value == "mapped_gate"


@pytest.mark.parametrize(
    ("layer", "network"),
    [("GINE+Performer", "gps"), ("GINE+PERFORMER", "samsa"), ("None+Transformer", "gps"), ("None+FULL", "samsa")],
)
def test_attention_of_graphgps_stays_in_blocks_of_gps(layer, network):
    assert values(gps(gt__layer_type=layer))["model.type"] == network


def test_what_a_file_leaves_out_has_the_default_of_the_repository():
    found = values(gps(optim__scheduler="cosine_with_warmup"))
    assert (found["gt.n_heads"], found["gt.layers"], found["optim.num_warmup_epochs"]) == (8, 3, 50)
    assert "optim.num_warmup_epochs" not in values(gps(optim__scheduler="reduce_on_plateau"))
    assert values({"model.type": "custom_gnn", "gnn.layer_type": "gineconv"})["gnn.residual"] is False
    assert values(gps(gt__n_heads=2))["gt.n_heads"] == 2


@pytest.mark.parametrize(
    ("settings", "norm"), [({}, True), ({"gt__batch_norm": False}, False), ({"gnn__batchnorm": False}, True)]
)
def test_norms_are_those_of_the_blocks(settings, norm):
    assert values(gps(**settings))["gnn.batchnorm"] is norm
    assert [values({"model.type": "custom_gnn", "gnn.layer_type": name, "gnn.batchnorm": True})["gnn.batchnorm"]
            for name in ("gineconv", "gatedgcnconv")] == [False, True]  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "updates"),
    [
        ({"gt__layer_type": GATED}, True),
        ({"gt__layer_type": SLOW}, True),
        ({}, None),
        ({"gt__layer_type": "CustomGatedGCN+SAMSA"}, None),
        ({"model__type": "custom_gnn", "gnn__layer_type": "gatedgcnconv"}, True),
        ({"model__type": "custom_gnn", "gnn__layer_type": "gineconv"}, None),
    ],
)
def test_gated_layers_change_the_features_of_edges(settings, updates):
    found = graphgps.translate(gps(**settings))
    assert (found.settings.get("gnn.update_edges") is not None) == bool(updates)
    told = [note for note in found.notes if "features of edges" in note]
    assert bool(told) == (settings.get("gt__layer_type") == "CustomGatedGCN+SAMSA")


def test_the_list_holds_what_differs_and_nothing_else():
    # Everything as this package does it, except the width of the encodings.
    same = {"posenc_RWSE__model": "Linear", "posenc_RWSE__raw_norm_type": "BatchNorm", "gnn__layers_pre_mp": 0}
    dropped = {"gnn__agg": "mean", "posenc_LapPE__enable": False, "posenc_LapPE__model": "DeepSet", "gt__gamma": 0.1}
    (note,) = graphgps.translate(gps(**same, **dropped, posenc_RWSE__pass_as_var=True)).notes
    assert note.startswith("posenc_RWSE.pass_as_var True: ")
    assert not {"gnn.agg", "posenc_LapPE.model", "gt.gamma"} & set(values(gps(**same, **dropped)))
    notes = graphgps.translate(gps(gnn__layers_pre_mp=1, dataset__node_encoder_bn=True)).notes
    assert [note.partition(" ")[0] for note in notes] == ["gnn.layers_pre_mp", "dataset.node_encoder_bn"]


@pytest.mark.parametrize(
    ("settings", "culprit"),
    [
        ({"posenc_RWSE__kernel__times_func": "range(2,17)"}, "posenc_RWSE.kernel.times_func"),
        ({"posenc_RWSE__kernel__times_func": "__import__('os').getcwd()"}, "posenc_RWSE.kernel.times_func"),
        ({"posenc_RWSE__kernel__times_func": None}, "posenc_RWSE.kernel.times"),
        ({"posenc_RWSE__enable": False}, "dataset.node_encoder_name"),
        ({"dataset__node_encoder_name": "Atom"}, "posenc_RWSE.enable"),
        ({"dataset__node_encoder_name": "Atom+RWSE+LapPE"}, "dataset.node_encoder_name"),
        ({"posenc_SignNet__enable": True}, "posenc_SignNet.enable"),
        ({"gt__layer_type": "GINE+None"}, "gt.layer_type"),
        ({"gt__layer_type": "GINE"}, "gt.layer_type"),
        ({"gt__layer_type": None}, "gt.layer_type"),
        ({"gt__dim_hidden": 8, "gnn__dim_inner": 16}, "gt.dim_hidden"),
        ({"pretrained__dir": "pretrained/x"}, "pretrained.dir"),
        ({"gnn__head": "infer_links"}, "gnn.head"),
        ({"posenc_RWSE__enable": 1}, "posenc_RWSE.enable"),
        ({"posenc_SignNet__enable": "yes"}, "posenc_SignNet.enable"),
        ({"posenc_RWSE__kernel__times_func": ["range(1,17)"]}, "posenc_RWSE.kernel.times_func"),
        ({"posenc_RWSE__kernel__times": {"a": 1}, "posenc_RWSE__kernel__times_func": None}, "posenc_RWSE.kernel.times"),
        ({"gt__layer_type": ["GINE", "Transformer"]}, "gt.layer_type"),
        ({"gt__dim_hidden": [8], "gnn__dim_inner": 8}, "gt.dim_hidden"),
        ({"dataset__transductive": [True]}, "dataset.transductive"),
    ],
)
def test_what_cannot_mean_the_same_is_named(settings, culprit):
    with pytest.raises(ConfigError) as caught:
        graphgps.translate(gps(**settings))
    assert caught.value.key == culprit


NAMES = ["model.type", "gt.layer_type", "dataset.node_encoder_name", "dataset.edge_encoder_name", "gnn.head"]


@pytest.mark.parametrize("key", [*NAMES, "train.mode", "wandb.use"])
@pytest.mark.parametrize("value", [["a"], {"b": 1}, 3])
def test_values_of_any_kind_are_an_error_in_one_line(key, value, tmp_path):
    group, _, name = key.partition(".")
    written = content(*TRAINED[2])
    written[group][name] = value
    path = tmp_path / "odd.yaml"
    path.write_text(yaml.safe_dump(written))
    with pytest.raises(ConfigError) as caught:
        load_config(path) and check_run()
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_edge_features_that_are_not_encoded_there_are_listed():
    def of(**settings):
        return [note for note in graphgps.translate(gps(**settings)).notes if note.startswith("dataset.edge_encoder ")]

    assert len(of(dataset__edge_encoder=False)) == 1
    assert of(dataset__edge_encoder=True) == of() == []


@pytest.mark.parametrize(
    ("encoder", "tuned", "scaled"),
    [("VOCNode", False, None), ("VOCNode+LapPE", True, True), ("COCONode", False, True), ("Atom", True, None)],
)
def test_superpixels_are_standardised_as_in_the_repository_that_does_so(encoder, tuned, scaled):
    settings = {"dataset.node_encoder_name": encoder, "model.type": "custom_gnn", "gnn.layer_type": "gineconv"}
    settings |= {"posenc_LapPE.enable": True} if "LapPE" in encoder else {}
    settings |= {"train.eval_smoothing_metrics": False} if tuned else {}
    assert values(settings).get("dataset.scale_features") == scaled
    assert values(settings | {"dataset.scale_features": False})["dataset.scale_features"] is False


def test_wandb_is_used_where_it_is_installed(monkeypatch):
    for installed in (True, False):
        monkeypatch.setattr(graphgps, "has_wandb", lambda installed=installed: installed)
        found = graphgps.translate(gps(wandb__use=True))
        assert ("wandb.use" in found.settings) is installed
        assert bool([note for note in found.notes if note.startswith("wandb.use")]) is not installed


def test_the_command_line_takes_names_of_both_packages(write):
    form = ("zinc", "GPSModel", GINE, "TypeDictNode+RWSE", "san_graph", "add")
    loaded = load_config(write(form), ["posenc_RWSE.kernel.times_func", "range(1,9)", "gnn.act", "gelu"])
    assert (cfg.pe.dim, cfg.gnn.act) == (8, "gelu")
    assert "pe.dim" in loaded.changes.asked
    load_config(write(form), ["pe.dim", "4", "pe.kind", "lap"])
    assert (cfg.pe.kind, cfg.pe.dim) == ("lap", 4)
    load_config(write(form), ["gt.layer_type", "GINE+SFT"])
    assert (cfg.model.type, cfg.gt.layer_type) == ("samsa", "GINE+SFT")


def test_more_types_than_are_set_are_refused(write, tmp_path, monkeypatch):
    form = TRAINED[2]
    monkeypatch.setattr(loader.catalog, "load", lambda format, name, root, progress, **options: StandIn(form))
    opts = ["dataset.node_encoder_num_types", "27", "out_dir", str(tmp_path / "out"), "dataset.dir", str(tmp_path)]
    with pytest.raises(ConfigError, match=r"dataset.node_encoder_num_types: got 27, expected at least 28"):
        runner.run(write(form), opts, verbosity=-1)


def test_graphormer_trains_on_one_graph_from_raw_files(write, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "draw_run", lambda *_, **__: None)
    geom_gcn_files.shrink(monkeypatch)
    geom_gcn_files.write(tmp_path / "data", "texas")
    form = ("webkb", "Graphormer", None, "LinearNode+GraphormerBias", "node", None)
    path = write(form, dataset={**content(*form)["dataset"], "name": "texas"})
    opts = {"optim.max_epoch": 2, "optim.num_warmup_epochs": 0, "num_threads": 1, "accelerator": "cpu"}
    opts |= {"out_dir": tmp_path / "out", "dataset.dir": tmp_path / "data"}
    words = [str(word) for pair in opts.items() for word in pair]
    (result,) = runner.run(path, words, verbosity=-1)
    assert 0 < result.test["loss"] < 100
    assert len(read_table(result.folder.file("predictions_test.csv"))) == 5
    with pytest.raises(ConfigError, match=r"graphormer.num_in_degrees: got 1, expected at least"):
        runner.run(path, [*words, "posenc_GraphormerBias.num_in_degrees", "1"], verbosity=-1)
