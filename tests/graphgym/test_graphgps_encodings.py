"""Encoders of positional encodings in configurations of GraphGPS."""

import pytest
import yaml
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg

from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.baselines import gnn_options
from pyg_samsa.graphgym.checks import check_run
from pyg_samsa.graphgym.config import load_config
from pyg_samsa.graphgym.encoding_settings import encoding_options
from pyg_samsa.graphgym.graphgps import translate
from pyg_samsa.graphgym.settings import value_of

LAP = {
    "model.type": "SANTransformer",
    "gt.dim_hidden": 32,
    "gnn.dim_inner": 32,
    "dataset.node_encoder_name": "LapPE",
    "posenc_LapPE.enable": True,
}
WALKS = {"posenc_RWSE.enable": True, "posenc_RWSE.kernel.times_func": "range(1,9)"}
RWSE = LAP | WALKS | {"dataset.node_encoder_name": "LinearNode+RWSE", "posenc_LapPE.enable": False}
BOTH = LAP | WALKS | {"dataset.node_encoder_name": "LinearNode+LapPE+RWSE"}


def encoders(leaves, **changes):
    made = translate(leaves | {key.replace("__", "."): value for key, value in changes.items()})
    assert not made.notes
    return {key.removeprefix("pe."): taken.value for key, taken in made.settings.items() if key.startswith("pe.")}


EIGEN = {"laplacian": "sym", "vector_norm": "l2"}


def test_a_file_without_details_has_the_defaults_of_there():
    shared = {"channels": 16, "norm": "none"}
    spectrum = {"dim": 10, "model": "deepset", "layers": 3, "post_layers": 0, **EIGEN, **shared}
    assert encoders(LAP) == {"kind": "spectrum", **spectrum}
    assert encoders(RWSE) == {"kind": "rwse", "dim": 8, "model": "linear", **shared}
    walks = {"steps": 8, "walk_model": "linear", "walk_channels": 16, "walk_norm": "none"}
    assert encoders(BOTH, gt__dim_hidden=64, gnn__dim_inner=64) == {"kind": "spectrum+rwse", **spectrum, **walks}


def test_details_of_eigenvectors():
    group = "posenc_LapPE."
    asked = {"model": "Transformer", "dim_pe": 8, "layers": 1, "n_heads": 2, "post_layers": 2}
    asked |= {"raw_norm_type": "BatchNorm", "eigen.laplacian_norm": "none", "eigen.eigvec_norm": "abs-max"}
    assert encoders(LAP | {group + key: value for key, value in asked.items()}) == {
        "kind": "spectrum",
        "dim": 10,
        "model": "transformer",
        "channels": 8,
        "layers": 1,
        "heads": 2,
        "post_layers": 2,
        "norm": "batch",
        "laplacian": "none",
        "vector_norm": "abs-max",
    }


def test_details_of_walks():
    asked = {"posenc_RWSE.model": "MLP", "posenc_RWSE.layers": 4, "posenc_RWSE.dim_pe": 5}
    asked |= {"posenc_RWSE.raw_norm_type": "BatchNorm"}
    found = {"model": "mlp", "layers": 4, "channels": 5, "norm": "batch"}
    assert found.items() <= encoders(RWSE | asked).items()
    assert {f"walk_{key}": value for key, value in found.items()}.items() <= encoders(BOTH | asked).items()


@pytest.mark.parametrize("width", [0, -2, 2.5, "wide", None])
@pytest.mark.parametrize(("leaves", "name"), [(LAP, "LapPE"), (RWSE, "RWSE"), (BOTH, "RWSE"), (BOTH, "LapPE")])
def test_encodings_without_channels_are_refused(leaves, name, width):
    with pytest.raises(ConfigError) as caught:
        translate(leaves | {f"posenc_{name}.dim_pe": width})
    assert str(caught.value) == f"posenc_{name}.dim_pe: got {width!r}, expected a number of at least 1"


@pytest.mark.parametrize("leaves", [LAP, RWSE, BOTH], ids=["lap", "rwse", "both"])
def test_without_the_node_encoder_there_are_no_encodings(leaves):
    made = translate(leaves | {"dataset.node_encoder": False})
    name = leaves["dataset.node_encoder_name"]
    reason = "its encodings are not used, there as here: dataset.node_encoder is False"
    assert made.notes == [f"dataset.node_encoder_name {name}: {reason}"]
    assert not [key for key in made.settings if key.startswith("pe.")]
    assert "pe.kind" in translate(leaves | {"dataset.node_encoder": True}).settings


@pytest.mark.parametrize(("asked", "listed"), [("SYM", False), ("sym", False), ("none", True)])
def test_the_laplacian_of_distances_is_read_in_any_case(asked, listed):
    leaves = {"model.type": "GPSModel", "gt.layer_type": "CustomGatedGCN+Transformer"}
    leaves |= {"dataset.node_encoder_name": "LinearNode+EquivStableLapPE", "posenc_EquivStableLapPE.enable": True}
    made = translate(leaves | {"posenc_LapPE.eigen.laplacian_norm": asked})
    assert bool(made.notes) == listed


@pytest.mark.parametrize("source", ["laplacian_norm", "eigvec_norm"])
def test_the_form_of_eigenvectors_names_its_source(source):
    value, here = {"laplacian_norm": ("none", "pe.laplacian"), "eigvec_norm": ("L1", "pe.vector_norm")}[source]
    made = translate(LAP | {f"posenc_LapPE.eigen.{source}": value})
    taken = made.settings[here]
    assert (taken.value, taken.source) == (value.lower(), f"posenc_LapPE.eigen.{source}")
    (other,) = {"pe.laplacian", "pe.vector_norm"} - {here}
    assert made.settings[other].source == ""


def test_an_asymmetric_laplacian_is_listed():
    made = translate(LAP | {"posenc_LapPE.eigen.laplacian_norm": "rw"})
    (note,) = made.notes
    assert note.startswith("posenc_LapPE.eigen.laplacian_norm rw: ")
    assert made.settings["pe.laplacian"].value == "sym"


@pytest.mark.parametrize(
    ("leaves", "key", "value"),
    [
        (LAP, "posenc_LapPE.model", "Linear"),
        (LAP, "posenc_LapPE.raw_norm_type", "LayerNorm"),
        (LAP, "posenc_LapPE.eigen.laplacian_norm", "random"),
        (LAP, "posenc_LapPE.eigen.eigvec_norm", "L3"),
        (RWSE, "posenc_RWSE.model", "DeepSet"),
    ],
)
def test_unknown_parts_are_refused(leaves, key, value):
    with pytest.raises(ConfigError) as caught:
        translate(leaves | {key: value})
    assert (caught.value.key, caught.value.value) == (key, value)


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "both.yaml"
    nested = {}
    for key, value in BOTH.items():
        node = nested
        *groups, name = key.split(".")
        for group in groups:
            node = node.setdefault(group, {})
        node[name] = value
    file.write_text(yaml.safe_dump(nested))
    return file


def test_options_of_the_network(path):
    load_config(path, ["gt.dim_hidden", "64", "gnn.dim_inner", "64", "gt.n_heads", "4"])
    options = gnn_options("san")
    assert (options["pe_channels"], options["flip_signs"], options["pe_role"]) == (28, 10, "add")
    assert options["pe_options"]["walk_channels"] == 16
    with pytest.raises(ConfigError, match=r"pe\.channels: got 32, expected less than the channels of a node \(32\)"):
        load_config(path) and gnn_options("san")


def test_degrees_have_the_channels_of_the_features(path):
    load_config(
        path,
        ["model.type", "gps", "gt.layer_type", "GINE+BiasedTransformer", "gt.dim_hidden", "64", "gnn.dim_inner", "64"],
    )
    cfg.share.task = "regression"
    model = register.network_dict["gps"](5, 1).model
    assert model.structure.in_degree.embedding_dim == model.node_encoder.out_features == 64 - 16 - 16


@pytest.mark.parametrize(
    ("opts", "kept", "dropped"),
    [
        ("pe.kind rwse", {"channels": 16, "norm": "none", "model": None}, "layers post_layers laplacian walk_channels"),
        ("pe.kind spectrum", {"model": "deepset", "layers": 3}, "steps walk_model walk_channels walk_norm"),
        ("pe.kind rwse pe.model mlp", {"model": "mlp", "layers": 3}, "post_layers walk_channels"),
        ("pe.model transformer", {"layers": 3, "walk_channels": 16}, ""),
        ("pe.kind none", {"kind": "none"}, "channels model layers norm laplacian walk_model"),
    ],
)
def test_details_give_way_to_other_encodings(path, opts, kept, dropped):
    load_config(path, ["gt.dim_hidden", "64", "gnn.dim_inner", "64", *opts.split()])
    encoding_options()
    assert kept.items() <= dict(cfg.pe).items()
    assert all(cfg.pe[name] is None for name in dropped.split())


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ('posenc_RWSE.kernel.times_func "range(1,9)"', {"pe.kind": "rwse", "pe.dim": 8, "pe.channels": None}),
        ("posenc_RWSE.kernel.times [1,2,3]", {"pe.dim": 3}),
        ("posenc_RWSE.dim_pe 3", {"pe.dim": 16, "pe.channels": 3, "pe.model": None}),
        ("posenc_RWSE.model MLP posenc_RWSE.layers 2", {"pe.model": "mlp", "pe.layers": 2}),
        ("posenc_RWSE.raw_norm_type BatchNorm posenc_RWSE.dim_pe 8", {"pe.norm": "batch"}),
        ("pe.kind spectrum posenc_LapPE.dim_pe 9 posenc_LapPE.eigen.max_freqs 5", {"pe.dim": 5, "pe.channels": 9}),
        ("pe.kind spectrum posenc_LapPE.eigen.laplacian_norm none", {"pe.laplacian": "none", "pe.vector_norm": None}),
        (
            "pe.kind spectrum+rwse pe.channels 4 posenc_RWSE.dim_pe 5 posenc_RWSE.kernel.times_func range(1,4)",
            {"pe.dim": 16, "pe.steps": 3, "pe.channels": 4, "pe.walk_channels": 5},
        ),
        ("pe.kind lap+rwse posenc_RWSE.kernel.times [1,2]", {"pe.dim": 16, "pe.steps": 2}),
        ("pe.dim 7 posenc_RWSE.kernel.times [1,2,3,4,5,6,7]", {"pe.dim": 7}),
    ],
)
def test_their_names_on_the_command_line_change_a_file_of_this_package(words, found):
    loaded = load_config("csv", [word.strip('"') for word in words.split()])
    assert {key: value_of(key, cfg) for key in found} == found
    assert not loaded.translation.notes
    assert {key for key in found if value_of(key, cfg) != loaded.defaults[key]} - {"pe.kind", "pe.dim"} <= set(
        loaded.changes.asked
    )
    check_run()


@pytest.mark.parametrize(
    ("words", "note"),
    [
        ("posenc_LapPE.dim_pe 9", "pe.kind is rwse, not spectrum"),
        ("posenc_EquivStableLapPE.eigen.max_freqs 9", "pe.kind is rwse, not lap1"),
        ("posenc_SignNet.dim_pe 9", "SignNet is not part of this package"),
        ("posenc_Nothing.dim_pe 9", None),
        ("posenc_RWSE.n_heads 2", "it is not used there either"),
        ("posenc_RWSE.pass_as_var True", "encodings are not passed to the layers"),
        ("posenc_GraphormerBias.num_in_degrees 9", "the network does not read it"),
        ("prep.exp True", "there are no expander graphs here"),
        ("posenc_RWSE.dim_pe 3 pe.kind lap+rwse", "with pe.kind lap+rwse, walks have no encoder of their own"),
    ],
)
def test_their_names_without_effect_on_the_command_line_are_listed(words, note):
    if note is None:
        with pytest.raises(ConfigError, match=r"unknown setting: got 'posenc_Nothing\.dim_pe'"):
            load_config("csv", words.split())
        return
    key, value, *_ = words.split()
    (told,) = load_config("csv", words.split()).translation.notes
    assert told.startswith(f"{key} {value}: {note}")


def test_an_encoding_that_a_file_of_theirs_does_not_name_is_listed_first(tmp_path):
    file = tmp_path / "walks.yaml"
    file.write_text(
        "model: {type: GPSModel}\ngt: {layer_type: GINE+Transformer}\ndataset: {node_encoder_name: LinearNode+RWSE}\n"
        "posenc_RWSE: {enable: True, kernel: {times_func: 'range(1,9)'}, pass_as_var: True}\n"
    )
    first, second = load_config(file, ["posenc_LapPE.dim_pe", "9"]).translation.notes
    assert first == "posenc_LapPE.dim_pe 9: LapPE is not in dataset.node_encoder_name"
    assert second.startswith("posenc_RWSE.pass_as_var True")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("pe: {kind: rwse}\nposenc_LapPE: {dim_pe: 4}", ["posenc_LapPE.dim_pe 4: pe.kind is rwse, not spectrum"]),
        ("pe: {kind: rwse}\nposenc_LapPE: {enable: False, dim_pe: 4}", []),
        ("pe: {kind: rwse}\nposenc_RWSE: {dim_pe: 4}", []),
        ("posenc_LapPE: {dim_pe: 4}", []),
    ],
)
def test_encodings_that_an_own_file_does_not_use_are_listed(tmp_path, text, told):
    file = tmp_path / "own.yaml"
    file.write_text(text)
    assert load_config(file).translation.notes == told


@pytest.mark.parametrize("words", ["pe.dim 5 posenc_RWSE.kernel.times [1,2]", "posenc_RWSE.dim_pe 5 pe.channels 6"])
def test_two_names_for_one_setting_do_not_contradict_each_other(words):
    with pytest.raises(ConfigError, match=r"^posenc_RWSE\.\S+: got .+, expected the same as pe\.\w+ \(\d\)") as caught:
        load_config("csv", words.split())
    assert caught.value.hint == "Set only one of the two."


def test_of_a_file_and_the_command_line_the_latter_counts(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text("pe: {kind: rwse}\nposenc_RWSE: {dim_pe: 4, kernel: {times_func: 'range(1,9)'}}\n")
    load_config(file)
    assert (cfg.pe.dim, cfg.pe.channels) == (8, 4)
    load_config(file, ["pe.dim", "5", "posenc_RWSE.dim_pe", "6"])
    assert (cfg.pe.dim, cfg.pe.channels) == (5, 6)
