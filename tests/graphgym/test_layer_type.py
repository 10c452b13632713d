"""GraphGPS's names of layers: message passing + attention."""

import pytest
from torch_geometric.graphgym.config import cfg

from pyg_samsa.errors import ConfigError
from pyg_samsa.experiments import run as runner
from pyg_samsa.graphgym.checks import check_run
from pyg_samsa.graphgym.config import load_config
from pyg_samsa.graphgym.network_options import model_options
from pyg_samsa.graphgym.plan import build_network, describe_network
from pyg_samsa.graphgym.settings import LOCAL_OF_GRAPHGPS
from pyg_samsa.nn import OPERATORS


@pytest.mark.parametrize("attention", OPERATORS)
@pytest.mark.parametrize(("name", "local"), LOCAL_OF_GRAPHGPS.items())
def test_every_pair_is_read(name, local, attention, config):
    load_config(config(samsa={"num_samples": None}), ["gt.layer_type", f"{name}+{attention.upper()}"])
    options = model_options()
    assert (options["local"], options["attention"]) == (local, attention)


@pytest.mark.parametrize(
    ("layer_type", "bridge"), [("GINE+SAMSA", False), ("INCIDENCE+SAMSA", True), ("CustomGatedGCN+SFT", True)]
)
def test_networks_with_message_passing_train(layer_type, bridge, config):
    opts = ["gt.layer_type", layer_type, "samsa.bridge", str(bridge), "optim.max_epoch", "1"]
    (result,) = runner.run(config(), opts, verbosity=-1)
    assert result.test["loss"] > 0
    blocks = build_network(cfg.share.dim_in, cfg.share.dim_out).model.encoder.blocks
    assert all(block.local is not None for block in blocks)


@pytest.mark.parametrize(
    ("opts", "message"),
    [
        (["gt.layer_type", "GCNII+SAMSA"], "gt.layer_type: got 'GCNII+SAMSA'"),
        (["gt.layer_type", "GINE+Transformer"], "gt.layer_type: got 'GINE+Transformer'"),
        (["gt.layer_type", "GINE"], "gt.layer_type: got 'GINE'"),
        (["gt.layer_type", "GINE+SAMSA", "samsa.local", "gcn"], "expected one that agrees with samsa.local gcn"),
        (
            ["gt.layer_type", "GINE+SAMSA", "samsa.attention", "sft"],
            "expected one that agrees with samsa.attention sft",
        ),
        (["samsa.local", "gcnii"], "samsa.local: got 'gcnii'"),
        (["samsa.local", "incidence", "samsa.bridge", "False"], "samsa.local: got 'incidence'"),
    ],
)
def test_wrong_names_and_contradictions_are_refused_before_any_work(opts, message, config):
    with pytest.raises(ConfigError) as caught:
        load_config(config(), opts)
    assert message in str(caught.value)


def test_gps_takes_its_own_layers(config):
    load_config(config(model={"type": "gps"}), ["gt.layer_type", "GINE+SAMSA"])
    with pytest.raises(ConfigError, match=r"gt\.layer_type"):
        build_network(3, 1)


@pytest.mark.parametrize(("kind", "bridge"), [("lap", False), ("lap1", True), ("rwse", True), ("lap+rwse", False)])
def test_distances_of_encodings_weight_messages_of_samsa(kind, bridge, config):
    opts = ["gt.layer_type", "CustomGatedGCN+SAMSA", "samsa.bridge", str(bridge), "optim.max_epoch", "1"]
    opts += ["pe.kind", kind, "pe.dim", "3", "pe.role", "gate"]
    (result,) = runner.run(config(), opts, verbosity=-1)
    assert result.test["loss"] > 0
    assert describe_network().endswith("that weight messages")
    network = build_network(cfg.share.dim_in, cfg.share.dim_out).model
    assert network.options["pe_role"] == "gate"
    assert network.options["flip_signs"] == (3 if "+" in kind else False)
    assert network.tokenizer.pe_encoder is None


@pytest.mark.parametrize(
    ("opts", "message"),
    [
        (["gt.layer_type", "GINE+SAMSA"], "pe.role: got 'gate', expected 'add' without encodings"),
        (["pe.kind", "lap"], "pe.role: got 'gate', expected 'add' with samsa.local null; only messages of gine"),
        (["pe.kind", "lap", "gt.layer_type", "GCN+SAMSA"], "expected 'add' with gt.layer_type GCN+SAMSA; only"),
        (["pe.kind", "lap", "model.type", "gcn"], "pe.role: got 'gate', expected 'add' with model.type gcn; only"),
        (["model.type", "gine"], "pe.role: got 'gate', expected 'add' without encodings"),
        (
            ["model.type", "bag_of_features"],
            "pe.role: got 'gate', expected 'add' with model.type bag_of_features; only",
        ),
        (["pe.role", "gates"], "pe.role: got 'gates', expected one of"),
    ],
)
def test_gates_without_messages_or_encodings_are_refused_before_any_work(opts, message, config):
    with pytest.raises(ConfigError) as caught:
        load_config(config(), ["pe.role", "gate", *opts]) and check_run()
    assert message in str(caught.value)


def load_and_check(words):
    load_config("csv", words.split())
    check_run()


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (
            "model.type gps gt.layer_type GINE+SAMSA",
            "PNA + Transformer, Performer, BiasedTransformer, with the network gps",
            "Layers with SAMSA are those of the network samsa: use model.type samsa, or leave out model.type.",
        ),
        ("model.type gps gt.layer_type GINE+Transformr", "with the network gps", "Did you mean 'GINE+Transformer'?"),
        ("model.type gps gt.layer_type GINE+Exphormer", "with the network gps", "Exphormer: there are no expander"),
        ("gt.layer_type GINE+Exphormer", "with the network samsa", "Exphormer: there are no expander"),
        ("gt.layer_type GINE+SAMSAA", "with the network samsa", "Did you mean 'GINE+SAMSA'?"),
        ("gt.layer_type SANLayer", "with the network samsa", "Use model.type san without gt.layer_type."),
        ("model.type san gt.layer_type SAN2Layer", "no layer with the network san", "Use model.type san2 without"),
        ("model.type gcn gt.layer_type GINE+Transformer", "no layer with the network gcn", "need model.type gps."),
        ("model.type gcn gt.layer_type GINE+SAMSA", "no layer with the network gcn", "use model.type samsa"),
    ],
)
def test_the_error_names_the_network_and_the_cure(words, message, hint):
    with pytest.raises(ConfigError) as caught:
        load_and_check(words)
    assert caught.value.key == "gt.layer_type"
    assert message in str(caught.value)
    assert hint in caught.value.hint


@pytest.mark.parametrize("network", ["GPSModel", "samsa"])
def test_a_file_of_this_package_keeps_its_sizes(network):
    words = f"model.type {network} gt.layer_type GINE+SAMSA gt.layers 1 gt.dim_hidden 16"
    load_config("csv", words.split())
    check_run()
    options = model_options()
    found = {name: options[name] for name in ("num_layers", "channels", "heads", "dropout", "local", "attention")}
    assert found == {
        "num_layers": 1,
        "channels": 16,
        "heads": 4,
        "dropout": 0.1,
        "local": "gine",
        "attention": "samsa",
    }
