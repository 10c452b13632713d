"""The settings ``pe.*`` as options of networks."""

import pytest
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg

from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.baselines import gnn_options
from pyg_samsa.graphgym.checks import check_run, check_settings
from pyg_samsa.graphgym.encoding_settings import encoding_options
from pyg_samsa.graphgym.network_options import model_options


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"kind": "rwse", "model": "deepset"}, "pe.model"),
        ({"kind": "spectrum", "model": "mlp"}, "pe.model"),
        ({"kind": "spectrum", "heads": 2}, "pe.heads"),
        ({"kind": "lap", "walk_channels": 2}, "pe.walk_channels"),
        ({"kind": "none", "channels": 2}, "pe.channels"),
        ({"kind": "spectrum+rwse", "channels": 2}, "pe.walk_channels"),
        ({"kind": "spectrum", "role": "gate"}, "pe.role"),
        ({"kind": "lap", "laplacian": "none"}, "pe.laplacian"),
    ],
)
def test_settings_without_effect_are_refused(settings, key):
    for name, value in settings.items():
        cfg.pe[name] = value
    with pytest.raises(ConfigError) as caught:
        encoding_options()
    assert caught.value.key == key


@pytest.mark.parametrize(("network", "width"), [("samsa", "samsa.channels"), ("gps", "gt.dim_hidden")])
@pytest.mark.parametrize(
    ("settings", "found", "channels"),
    [({"channels": 8, "heads": 3}, 3, 8), ({"channels": 6}, 4, 6), ({"heads": 7}, 7, 32)],
)
def test_heads_that_do_not_divide_the_channels_are_named(network, width, settings, found, channels):
    cfg.model.type, cfg.pe.kind, cfg.pe.model = network, "spectrum", "transformer"
    cfg[width.partition(".")[0]][width.partition(".")[2]] = 32
    cfg.share.task = "regression"
    for name, value in settings.items():
        cfg.pe[name] = value
    expected = f"pe.heads: got {found}, expected a divisor of {channels} channels of the encoding"
    for make in (check_run if network == "gps" else check_settings, lambda: register.network_dict[network](5, 1)):
        with pytest.raises(ConfigError) as caught:
            make()
        assert str(caught.value) == expected


@pytest.mark.parametrize("name", ["channels", "norm", "model", "walk_channels", "laplacian"])
def test_a_default_that_is_set_is_none(name):
    defaults = {"channels": 0, "norm": "batch", "model": "linear", "walk_channels": 0, "laplacian": "sym"}
    cfg.pe.kind, cfg.pe[name] = "rwse", defaults[name]
    assert "pe_options" not in encoding_options()


def test_networks_that_compute_no_spectrum_get_no_form_of_it():
    cfg.pe.kind, cfg.pe.dim, cfg.pe.laplacian, cfg.pe.vector_norm = "spectrum", 3, "none", "l1"
    cfg.model.type = "gps"
    assert gnn_options("gps")["pe_options"] == {"model": "deepset"}
    cfg.model.type = "samsa"
    assert model_options()["pe_options"] == {"model": "deepset", "laplacian": "none", "vector_norm": "l1"}


def test_settings_become_options_of_networks():
    cfg.pe.kind, cfg.pe.dim = "spectrum", 6
    assert encoding_options() == {
        "pe_channels": 12,
        "flip_signs": 6,
        "pe_role": "add",
        "pe_options": {"model": "deepset"},
    }
    cfg.pe.kind, cfg.pe.steps, cfg.pe.laplacian = "spectrum+rwse", 3, "none"
    found = encoding_options()
    assert (found["pe_channels"], found["flip_signs"]) == (15, 6)
    assert found["pe_options"] == {"model": "deepset", "laplacian": "none"}
