import pytest
import yaml
from torch_geometric.graphgym import register

from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.config import all_keys, cfg, load_config
from pyg_samsa.graphgym.conversion import convert
from pyg_samsa.graphgym.settings import value_of

GPS = """\
out_dir: results
dataset: {format: PyG-ZINC, name: subset, task_type: regression, node_encoder: True,
          node_encoder_name: TypeDictNode+RWSE, edge_encoder: True, edge_encoder_name: TypeDictEdge}
posenc_RWSE: {enable: True, kernel: {times_func: 'range(1,9)'}, dim_pe: 4, model: MLP, pass_as_var: True}
model: {type: GPSModel, loss_fun: l1, graph_pooling: add}
gt: {layer_type: GINE+Transformer, layers: 2, dim_hidden: 16}
gnn: {dim_inner: 16, agg: mean, head: san_graph}
optim: {optimizer: adamW, base_lr: 1e-4, scheduler: cosine_with_warmup, num_warmup_epochs: 5, max_epoch: 20}
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "zinc.yaml"
    path.write_text(GPS)
    return path


def all_values():
    return {key: value_of(key, cfg) for key in all_keys()}


@pytest.mark.parametrize("opts", [[], ["gt.layer_type", "GINE+SAMSA"], ["gnn.act", "gelu", "pe.dim", "4"]])
def test_the_converted_file_means_the_same_without_translation(path, tmp_path, opts):
    again = tmp_path / "again.yaml"
    again.write_text(convert(path, opts))
    first = all_values()
    loaded = load_config(again)
    assert loaded.translation is None
    assert all_values() == first


def test_comments_say_what_changed(path):
    lines = convert(path).splitlines()
    assert lines[0] == "# Settings of pyg_samsa, made of zinc.yaml."
    assert [line.split(":")[0] for line in lines if line.startswith("#   ")] == [
        "#   posenc_RWSE.pass_as_var True",
    ]
    assert "  dim: 8  # of posenc_RWSE.kernel.times_func range(1,9)" in lines
    assert "  channels: 4  # of posenc_RWSE.dim_pe 4" in lines
    assert "  model: mlp  # of posenc_RWSE.model MLP" in lines
    assert "  n_heads: 8  # the default there" in lines
    assert "  node_encoder_name: TypeDictNode  # of dataset.node_encoder_name TypeDictNode+RWSE" in lines
    assert "  loss_fun: l1" in lines
    assert not any("agg" in line for line in lines if not line.startswith("out") and "metric" not in line)


def test_a_file_of_this_package_stays_as_it_is(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("samsa: {layers: 3}\ndataset: {split: [0.5, 0.5]}\nseed: 4\n")
    converted = convert(path)
    assert yaml.safe_load(converted) == yaml.safe_load(path.read_text())
    assert "  #" not in converted


def test_what_cannot_mean_the_same_is_refused(path):
    path.write_text(GPS.replace("GINE+Transformer", "GINE+Exphormer"))
    with pytest.raises(ConfigError, match=r"gt\.layer_type"):
        convert(path)


def test_wandb_is_written_only_if_the_file_has_it_and_it_can_be_used(path, monkeypatch):
    from pyg_samsa.graphgym import graphgps

    monkeypatch.setattr(graphgps, "has_wandb", lambda: False)
    assert "wandb" not in yaml.safe_load(convert(path))
    path.write_text(GPS + "wandb: {use: True, project: zinc}\n")
    text = convert(path)
    assert yaml.safe_load(text)["wandb"] == {"project": "zinc"}
    assert "#   wandb.use True: the package wandb is not installed" in text.splitlines()
    path.write_text(GPS + "wandb: {use: False, project: zinc}\n")
    assert yaml.safe_load(convert(path))["wandb"] == {"use": False, "project": "zinc"}
    monkeypatch.setattr(graphgps, "has_wandb", lambda: True)
    path.write_text(GPS + "wandb: {use: True}\n")
    assert yaml.safe_load(convert(path))["wandb"] == {"use": True}


def test_no_default_of_this_package_is_written_that_the_file_does_not_have(path):
    from torch_geometric.graphgym.config import set_cfg

    text = convert(path)
    set_cfg(cfg)
    group, found = "", {}
    for line in text.splitlines():
        group = group if line.startswith(" ") else line.removesuffix(":")
        if line.endswith("# the default there"):
            ((name, value),) = yaml.safe_load(line).items()
            found[f"{group}.{name}"] = value
    assert found["gt.n_heads"] == 8
    assert not [key for key, value in found.items() if value_of(key, cfg) == value]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected a YAML file of settings as 'key: value'; it holds nothing"),
        ("# nothing\n", "expected a YAML file of settings as 'key: value'; it holds nothing"),
        ("hello\n", "expected a YAML file of settings as 'key: value'; it holds plain text"),
        ("smiles,y\nCCO,1\n", "expected a YAML file of settings as 'key: value'; it holds plain text"),
        ("- a\n", "expected a YAML file of settings as 'key: value'; it holds a list"),
        ("a: [1\n", "expected a YAML file; it cannot be read (line 2, column 1)"),
        (b"\xff\xfe\x00", "expected a text file in UTF-8"),
    ],
)
def test_what_is_no_configuration_is_told_in_one_line(tmp_path, content, message):
    path = tmp_path / "mine.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as caught:
        convert(path)
    assert str(caught.value).startswith(f"CONFIG: got '{path}', {message}")
    assert "\n" not in str(caught.value)


def test_folders_and_missing_files_are_told(tmp_path):
    with pytest.raises(ConfigError) as caught:
        convert(tmp_path)
    assert str(caught.value) == f"CONFIG: got '{tmp_path}', expected a YAML file, not a folder"
    assert caught.value.hint == "It holds no YAML file."
    for number in range(6):
        (tmp_path / f"{number}.yaml").touch()
    with pytest.raises(ConfigError) as caught:
        convert(tmp_path)
    assert caught.value.hint == "YAML files in it: 0.yaml, 1.yaml, 2.yaml, 3.yaml, 4.yaml, ..."
    with pytest.raises(ConfigError) as caught:
        convert("nowhere")
    assert str(caught.value) == "CONFIG: got 'nowhere', expected a YAML file that exists"
    assert caught.value.hint == "`pyg-samsa train --list` prints the packaged configs."


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ("model.type Exphormer", "model.type"),
        ("model.type Foo", "model.type"),
        ("metric_best foo", "metric_best"),
        ("optim.optimizer sgdd", "optim.optimizer"),
        ("dataset.name subset2", "dataset.name"),
        ("gnn.head san_grap", "gnn.head"),
        ("posenc_RWSE.dim_pe 128", "pe.channels"),
    ],
)
def test_what_a_run_refuses_before_data_is_refused(path, words, key, monkeypatch):
    # With a loader of other code, data sets are known when they are loaded.
    monkeypatch.setattr(register, "loader_dict", {"samsa": register.loader_dict["samsa"]})
    with pytest.raises(ConfigError) as caught:
        convert(path, words.split())
    assert caught.value.key == key


def test_what_only_this_machine_lacks_is_converted(path, tmp_path):
    words = ["accelerator", "mps", "out_dir", str(path / "below"), "train.start_from", str(tmp_path / "nothing")]
    assert yaml.safe_load(convert(path, words))["accelerator"] == "mps"


def test_a_network_without_expander_graphs_is_told(path):
    with pytest.raises(ConfigError, match=r"there are no expander graphs here") as caught:
        convert(path, ["model.type", "Exphormer"])
    assert "graphormer" not in caught.value.hint


def test_settings_of_theirs_change_a_file_of_this_package():
    found = convert("csv", ["posenc_RWSE.kernel.times_func", "range(1,9)", "posenc_LapPE.dim_pe", "9"]).splitlines()
    assert "  dim: 8  # of posenc_RWSE.kernel.times_func range(1,9)" in found
    assert found[1:3] == ["# Not honoured:", "#   posenc_LapPE.dim_pe 9: pe.kind is rwse, not spectrum"]


def test_a_pooling_that_samsa_does_not_have_is_refused():
    with pytest.raises(ConfigError, match=r"model\.graph_pooling: got 'add', expected attention or mean"):
        convert("csv", ["model.graph_pooling", "add"])
