import yaml

from pyg_samsa.cli import main

CONFIG = "model: {type: custom_gnn}\ngnn: {layer_type: gineconv, layers_mp: 5, normalize_adj: True}\n"


def test_prints_what_can_be_read_again(tmp_path, capsys):
    path = tmp_path / "gine.yaml"
    path.write_text(CONFIG)
    assert main(["convert", str(path), "gnn.dropout", "0.2"]) == 0
    printed = capsys.readouterr().out
    assert yaml.safe_load(printed)["gnn"] == {"layers_mp": 5, "batchnorm": False, "residual": False, "dropout": 0.2}
    assert "#   gnn.normalize_adj True: " in printed


def test_writes_a_file_and_refuses_before_it_writes(tmp_path, capsys):
    path, out = tmp_path / "gine.yaml", tmp_path / "ours.yaml"
    path.write_text(CONFIG)
    assert main(["convert", str(path), "--out", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    before = out.read_text()
    assert yaml.safe_load(before)["model"] == {"type": "gine"}
    assert main(["convert", str(path), "--out", str(out), "model.type", "Performer"]) == 2
    assert "model.type" in capsys.readouterr().err
    assert out.read_text() == before
    assert main(["convert", str(path), "--out", str(tmp_path / "no" / "where" / "x.yaml")]) in (0, 2)
