"""The table of GraphGPS's settings agrees with this package's settings and parts, and with the documentation."""

import importlib.util
from pathlib import Path

import pytest
from torch_geometric.graphgym import register

from pyg_samsa.graphgym import graphgps_keys as table
from pyg_samsa.graphgym.config import all_keys
from pyg_samsa.graphgym.graphgps import translate
from pyg_samsa.graphgym.own_head import LEVEL_OF_HEAD
from pyg_samsa.nn.models.message_passing import LAYERS

ROOT = Path(__file__).parents[2]
# The settings that the files of GraphGPS's folder configs hold.
OF_FOLDER = """
dataset: edge_encoder edge_encoder_bn edge_encoder_name edge_encoder_num_types format name node_encoder node_encoder_bn
dataset: node_encoder_name node_encoder_num_types resample_negative slic_compactness split_mode task task_type
dataset: transductive
gnn: act agg batchnorm dim_inner dropout head layer_type layers_mp layers_post_mp layers_pre_mp normalize_adj residual
graphormer: attention_dropout dropout embed_dim input_dropout mlp_dropout num_heads num_layers use_graph_token
gt: attn_dropout batch_norm dim_hidden dropout full_graph gamma layer_norm layer_type layers n_heads residual
model: edge_decoding graph_pooling loss_fun type
optim: base_lr batch_accumulation clip_grad_norm clip_grad_norm_value max_epoch min_lr num_warmup_epochs optimizer
optim: reduce_factor schedule_patience scheduler weight_decay
posenc_EquivStableLapPE: eigen.eigvec_norm eigen.laplacian_norm eigen.max_freqs enable raw_norm_type
posenc_GraphormerBias: enable node_degrees_only num_in_degrees num_out_degrees num_spatial_types
posenc_LapPE: dim_pe eigen.eigvec_norm eigen.laplacian_norm eigen.max_freqs enable layers model n_heads raw_norm_type
posenc_RWSE: dim_pe enable kernel.times_func model raw_norm_type
posenc_SignNet: dim_pe eigen.eigvec_norm eigen.laplacian_norm eigen.max_freqs enable layers model phi_hidden_dim
posenc_SignNet: phi_out_dim post_layers
pretrained: dir reset_prediction_head
train: batch_size ckpt_best ckpt_period enable_ckpt eval_period mode sampler
wandb: project use
"""
NAMES = ["metric_agg", "metric_best", "num_workers", "out_dir"] + [
    f"{line.partition(':')[0]}.{name}" for line in OF_FOLDER.strip().splitlines() for name in line.split()[1:]
]


def page():
    spec = importlib.util.spec_from_file_location("site_hooks", ROOT / "docs" / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return dict(module._pages())["reference/graphgps.md"]


def test_every_setting_of_the_folder_has_a_meaning():
    assert len(NAMES) == 112
    assert [name for name in NAMES if table.find_key(name) is None] == []


def test_what_is_taken_as_it_is_exists_here():
    known = set(all_keys())
    assert [name for name, key in table.KEYS.items() if key.handled == table.SAME and name not in known] == []


@pytest.mark.parametrize("name", table.KEYS)
def test_every_meaning_is_said(name):
    key = table.KEYS[name]
    assert key.handled in table.HANDLED
    assert key.meaning
    assert (key.handled == table.REFUSED) <= bool(key.harmless)
    # A reason ends a line of the list, or follows a colon; a meaning is a sentence.
    assert key.meaning.endswith(".") == (key.handled in (table.SAME, table.READ, table.NOTHING))


def test_a_group_stands_for_its_settings_and_not_for_others():
    assert table.find_key("prep.exp_deg").handled == table.NOTHING
    assert table.find_key("pretrained.dir").handled == table.REFUSED
    assert table.find_key("gt.bigbird.block_size").handled == table.NOTHING
    assert table.find_key("gt.anything") is None


def test_parts_exist_here():
    assert {*table.NETWORKS.values(), *table.CONVOLUTIONS.values()} - {""} <= set(LAYERS)
    assert set(table.HEADS) <= {"default", *LEVEL_OF_HEAD}
    assert {name for name in table.NODE_ENCODERS if name} - {"Atom"} <= set(register.node_encoder_dict)
    assert set(table.EDGE_ENCODERS) - {"Bond"} <= set(register.edge_encoder_dict)
    pairs = [(table.NETWORKS, table.REFUSED_NETWORKS), (table.ENCODINGS, table.REFUSED_ENCODINGS)]
    pairs += [(table.HEADS, table.REFUSED_HEADS)]
    assert all(set(taken).isdisjoint(refused) for taken, refused in pairs)


def test_defaults_are_settings_of_a_translation():
    gps = {"model.type": "GPSModel", "gt.layer_type": "GINE+Transformer", "optim.scheduler": "linear_with_warmup"}
    found = translate(gps).settings
    for key, value in {**table.DEFAULTS["gps"], **table.DEFAULTS["warmup"]}.items():
        assert (found[key].value, found[key].source) == (value, "")


def test_the_documentation_has_the_whole_table():
    text = page()
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    for name, key in table.KEYS.items():
        (row,) = [row for row in rows if row.startswith(f"| `{name}` |")]
        assert table.HANDLED[key.handled] in row
        assert key.meaning[1:].rstrip(".") in row
    assert "| `PyG-ZINC` | `subset` | `zinc` |" in text
    for parts in (table.REFUSED_NETWORKS, table.REFUSED_ENCODINGS, table.REFUSED_ATTENTION, table.REFUSED_HEADS):
        assert all(f"| `{name}` |" in text and reason in text for name, reason in parts.items())
