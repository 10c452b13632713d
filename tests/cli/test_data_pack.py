"""``data pack`` and ``data unpack``: what a run reads travels, and runs elsewhere without network."""

import argparse
import zipfile

import pytest
import yaml

from pyg_samsa.cli import data, main
from pyg_samsa.datasets.packing import MANIFEST
from pyg_samsa.datasets.points.shapes import Shapes
from pyg_samsa.errors import ConfigError, DataIntegrityError

SHAPES = {"format": "samsa", "name": "shapes", "per_family": 3, "num_points": 16}
SMALL = {"layers": 1, "channels": 8, "heads": 2, "num_samples": 4}


def run(*words, verbosity=-1):
    parser = argparse.ArgumentParser()
    data.configure(parser)
    args = parser.parse_args([str(word) for word in words])
    args.verbosity = verbosity
    return data.run(args)


@pytest.fixture
def config(tmp_path):
    def write(name="mine.yaml", **changes):
        content = {"dataset": SHAPES, "model": {"type": "samsa"}, "samsa": SMALL, "optim": {"max_epoch": 1}, **changes}
        content |= {"num_threads": 1, "out_dir": str(tmp_path / "results")}
        (tmp_path / name).write_text(yaml.safe_dump(content))
        return tmp_path / name

    return write


def members(path):
    with zipfile.ZipFile(path) as archive:
        return sorted(set(archive.namelist()) - {MANIFEST})


def run_what_is_printed(out, folder):
    """Run the command that `data unpack` has printed; nothing is prepared again."""
    (command,) = [line for line in out.splitlines() if line.startswith("train: ")]
    before = sorted(path.name for path in folder.rglob("*.pt"))
    assert main([*command.split()[2:], "-q"]) == 0
    assert sorted(path.name for path in folder.rglob("*.pt")) == before
    return command


def test_what_a_config_reads_runs_elsewhere(tmp_path, config, capsys):
    here, there, pack = tmp_path / "here", tmp_path / "there", tmp_path / "pack.zip"
    assert run("pack", pack, "--cfg", config(), "--root", here) == 0
    assert [place.partition("/")[0] for place in members(pack)] == ["configs", "shapes"]
    assert "packed" in capsys.readouterr().out
    assert run("unpack", pack, "--root", there) == 0
    command = run_what_is_printed(capsys.readouterr().out, there)
    assert command == f"train: pyg-samsa train --cfg {there}/configs/mine.yaml dataset.dir {there}"


def test_encodings_descriptors_and_tables_travel_too(tmp_path, config, capsys):
    pytest.importorskip("rdkit")
    table, there = tmp_path / "table.csv", tmp_path / "there"
    rows = "".join(f"{'C' * (n % 9 + 1)}{'O' * (n % 2)},{n % 9}.5\n" for n in range(30))
    table.write_text(f"smiles,y\n{rows}")
    dataset = {"format": "samsa", "name": "csv", "csv": str(table), "target_columns": ["y"], "descriptors": ["maccs"]}
    path = config(dataset=dataset, pe={"kind": "rwse", "dim": 3}, samsa={**SMALL, "local": "gine", "bridge": False})
    assert run("pack", tmp_path / "pack.zip", "--cfg", path, "--root", tmp_path / "here", "--fast") == 0
    folders = dict.fromkeys(place.partition("/")[0] for place in members(tmp_path / "pack.zip"))
    assert list(folders) == ["configs", "csv", "descriptors", "encodings", "tables"]
    capsys.readouterr()
    table.unlink()
    assert run("unpack", tmp_path / "pack.zip", "--root", there) == 0
    command = run_what_is_printed(capsys.readouterr().out, there)
    assert command.endswith(f" dataset.csv {there}/tables/table.csv")


def test_data_sets_by_name_and_several_configs(tmp_path, config, monkeypatch):
    monkeypatch.setitem(Shapes.__init__.__kwdefaults__, "per_family", 5)  # 200 take half a minute
    other = config("other.yaml", dataset={**SHAPES, "per_family": 4})
    run("pack", tmp_path / "pack.zip", "shapes", "--cfg", config(), "--cfg", other, "--root", tmp_path / "here")
    found = members(tmp_path / "pack.zip")
    assert found[:2] == ["configs/mine.yaml", "configs/other.yaml"]
    assert [place.partition("/")[0] for place in found[2:]] == ["shapes"] * 3


def test_a_packaged_config_keeps_its_folder(tmp_path, config, monkeypatch):
    monkeypatch.setattr("pyg_samsa.graphgym.config.PACKAGED", tmp_path)
    (tmp_path / "small").mkdir()
    assert run("pack", tmp_path / "pack.zip", "--cfg", config("small/mine.yaml"), "--root", tmp_path / "here") == 0
    assert members(tmp_path / "pack.zip")[0] == "configs/small/mine.yaml"


def test_wrong_arguments_are_named_before_any_work(tmp_path, config):
    with pytest.raises(ConfigError, match="--cfg: got nothing, expected a config, or names of data sets"):
        run("pack", tmp_path / "pack.zip")
    with pytest.raises(ConfigError, match=r"dataset\.name: got 'shape'"):
        run("pack", tmp_path / "pack.zip", "shape")
    with pytest.raises(ConfigError, match=r"FILE: .* a file, not a folder"):
        run("pack", tmp_path, "shapes")
    (tmp_path / "second").mkdir()
    twin = config("second/mine.yaml", dataset={**SHAPES, "per_family": 4})
    with pytest.raises(ConfigError, match=r"--cfg: .* expected one file with the name mine\.yaml"):
        run("pack", tmp_path / "pack.zip", "--cfg", config(), "--cfg", twin, "--root", tmp_path / "here")
    assert not (tmp_path / "pack.zip").exists()


def test_errors_of_packs_are_one_line(tmp_path, capsys):
    (tmp_path / "pack.zip").write_bytes(b"nonsense")
    with pytest.raises(DataIntegrityError):
        run("unpack", tmp_path / "pack.zip", "--root", tmp_path / "there")
    assert main(["data", "unpack", str(tmp_path / "pack.zip"), "--root", str(tmp_path / "there")]) == 3
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == ["error", "hint"]
