import csv

import pytest
import torch

from pyg_samsa.chem import smiles_to_data
from pyg_samsa.datasets import CSVMolecules, catalog
from pyg_samsa.datasets.splits import scaffold_split
from pyg_samsa.errors import ConfigError, DataError, DataNotFoundError, SmilesError
from pyg_samsa.graphgym.config import load_config
from pyg_samsa.graphgym.loader import load_for_runner
from pyg_samsa.hub import save_pretrained
from pyg_samsa.hub.model_config import read_config
from pyg_samsa.nn import SAMSA

SMILES = ["C" * n + end for n in range(1, 11) for end in ("O", "N", "c1ccccc1", "C1CCCCC1")]


@pytest.fixture
def table(table):
    """Writes a table and reads it as a data set; the header comes first."""
    return lambda header, rows, **options: table(rows, header, **options)


def test_regression(table):
    dataset = table(
        ["id", "smiles", "logS"], [[n, s, 100 + 3 * n] for n, s in enumerate(SMILES)], target_columns=["logS"]
    )
    assert (dataset.task.kind, list(dataset.task.names), dataset.task.num_targets, len(dataset)) == (
        "regression",
        ["logS"],
        1,
        40,
    )
    assert [len(rows) for rows in dataset.split_idx.values()] == [32, 4, 4]
    for row in (0, 17):
        assert torch.equal(dataset[row].x, smiles_to_data(SMILES[row]).x)
        assert dataset[row].y.item() == 100 + 3 * row
        assert dataset[row].source_row.item() == row + 1
    y = torch.tensor([100.0 + 3 * row for row in dataset.split_idx["train"].tolist()])
    mean, std = dataset.target_scale
    torch.testing.assert_close(mean[0], y.double().mean())
    torch.testing.assert_close(std[0], y.double().std(correction=0))


def test_every_row_is_in_one_split_and_molecules_stay_together(table):
    rows = [[s, n % 2] for n, s in enumerate(SMILES)] + [["OCC", 0], ["C(O)C", 1], ["CCO", 0]]
    dataset = table(["smiles", "y"], rows)
    assert sorted(torch.cat(list(dataset.split_idx.values())).tolist()) == list(range(len(rows)))
    ethanol = {row for row, (text, _) in enumerate(rows) if text in ("CCO", "OCC", "C(O)C")}
    assert any(ethanol <= set(part.tolist()) for part in dataset.split_idx.values())


def test_splits_depend_on_the_seed_alone(table):
    rows = [[s, n] for n, s in enumerate(SMILES)]
    first, again, other = (table(["smiles", "y"], rows, seed=seed).split_idx for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["train"], other["train"])


def test_random_split_is_stratified(table):
    dataset = table(["smiles", "y"], [[s, int(n < 10)] for n, s in enumerate(SMILES)], fractions=[0.5, 0.5])
    assert [int(dataset._data.y[rows].sum()) for rows in dataset.split_idx.values()] == [5, 5]


def test_scaffolds_do_not_meet():
    rings = ("c1ccccc1", "C1CCCCC1", "c1ccncc1", "c1ccoc1", "C1CC1", "C1CCC1", "c1ccsc1", "C1CCNCC1")
    smiles = [f"{'C' * n}{ring}" for ring in rings for n in range(5)]
    split = scaffold_split(smiles, [0.6, 0.2, 0.2], seed=0)
    assert sorted(torch.cat(list(split.values())).tolist()) == list(range(40))
    sides = [{row // 5 for row in rows.tolist()} for rows in split.values()]
    assert not sides[0] & sides[1]
    assert not sides[0] & sides[2]
    assert not sides[1] & sides[2]
    assert [len(rows) for rows in split.values()] == [30, 5, 5]
    assert not torch.equal(scaffold_split(smiles, [0.6, 0.2, 0.2], seed=3)["train"], split["train"])


def test_a_scaffold_that_is_too_large_goes_to_training():
    smiles = [f"{'C' * n}c1ccccc1" for n in range(90)] + [
        "C1CC1",
        "C1CCC1",
        "C1CCCC1",
        "C1CCCCC1",
        *(f"C1CCNC{'C' * n}C1" for n in range(6)),
    ]
    split = scaffold_split(smiles, [0.8, 0.1, 0.1], seed=0)
    assert set(range(90)) <= set(split["train"].tolist())
    assert {part: len(rows) for part, rows in scaffold_split(smiles[:90], [0.8, 0.1, 0.1], seed=0).items()} == {
        "train": 90
    }


def test_split_column(table):
    sets = ["Train", "valid", "TEST", "train"]
    rows = [[s, n, sets[n % 4]] for n, s in enumerate(SMILES)]
    dataset = table(["smiles", "y", "set"], rows, target_columns=["y"], split_kind="column", split_column="set")
    assert dataset.split_idx["val"].tolist() == list(range(1, 40, 4))
    with pytest.raises(ConfigError, match="row 2"):
        table(
            ["smiles", "y", "set"],
            [["C", 1, "train"], ["CC", 2, "holdout"]],
            target_columns=["y"],
            split_kind="column",
            split_column="set",
        )


@pytest.mark.parametrize(
    ("columns", "task", "names"),
    [
        ([["1", "0"]], "binary", ["t0"]),
        ([["yes", "No"]], "binary", ["t0"]),
        ([["1", "0"], ["0.0", ""], ["", "1"]], None, None),
        ([["1", "0"], ["0", "1"]], "multilabel", ["t0", "t1"]),
        ([["1", "0"], ["0.5", "1"]], "regression", ["t0", "t1"]),
        ([["1.5e-3", "2.5e-3"]], "regression", ["t0"]),
        ([["10", "9"]], "binary", ["t0=10"]),
        ([["10", "9.5"]], "regression", ["t0"]),
        ([["red", "green"]], "binary", ["t0=red"]),
    ],
)
def test_the_task_follows_from_the_columns(table, columns, task, names):
    rows = [[s, *(column[n % 2] for column in columns)] for n, s in enumerate(SMILES)]
    header = ["smiles", *(f"t{number}" for number in range(len(columns)))]
    if task is None:
        with pytest.raises(DataError, match="only the label"):
            table(header, rows, target_columns=header[1:])
        return
    dataset = table(header, rows, target_columns=header[1:])
    assert (dataset.task.kind, list(dataset.task.names)) == (task, names)
    assert (dataset.target_scale is None) == (task != "regression")


def test_classes_by_number_when_asked_for(table):
    dataset = table(["smiles", "y"], [[s, [10, 9, 2, ""][n % 4]] for n, s in enumerate(SMILES)], csv_task="multiclass")
    assert list(dataset.task.names) == ["2", "9", "10"]
    assert dataset._data.y[:3, 0].tolist() == [2.0, 1.0, 0.0]


def test_missing_targets_stay_and_rows_without_any_are_told(table, caplog):
    rows = [[s, n if n % 3 else "", "" if n % 5 else n] for n, s in enumerate(SMILES)]
    dataset = table(["smiles", "a", "b"], rows, target_columns=["a", "b"])
    gone = [n for n in range(40) if n % 3 == 0 and n % 5]
    assert sorted(torch.cat(list(dataset.split_idx.values())).tolist()) == [n for n in range(40) if n not in gone]
    assert dataset[3].y.isnan().all()
    assert dataset[5].y.tolist() == [[5.0, 5.0]]
    assert f"{len(gone)} rows left out ({len(gone)} rows without target)" in caplog.text
    listed = list(csv.reader(dataset.left_out.open()))
    assert [int(row[0]) for row in listed[1:]] == [n + 1 for n in gone]


def test_unreadable_molecules(table, caplog):
    rows = [[s, n] for n, s in enumerate(SMILES)]
    rows[7][0], rows[20][0], rows[30][0] = "C(C", "", "nonsense"
    with pytest.raises(SmilesError, match=r"row 8: .*2 more of 40 rows cannot be used: 21, 31") as caught:
        table(["smiles", "y"], rows)
    assert "--skip-invalid" in caught.value.hint
    dataset = table(["smiles", "y"], rows, skip_invalid=True)
    assert len(dataset) == 37
    assert dataset._data.source_row.tolist() == [n + 1 for n in range(40) if n not in (7, 20, 30)]
    assert dataset[7].y.item() == 8
    assert "3 rows left out (3 unreadable molecules)" in caplog.text
    assert (
        dataset.left_out.read_text().splitlines()[1]
        == "8,C(C,RDKit cannot read this SMILES (the bracket ( is not closed)"
    )
    rows[7][0] = "=1+1"
    left_out = table(["smiles", "y"], rows, skip_invalid=True).left_out
    assert left_out.read_text().splitlines()[1].startswith("8,'=1+1,")


def test_tables_as_people_have_them(tmp_path):
    path = tmp_path / "messy.csv"
    rows = b"".join(f"{s};{n},5;x{n}\r\n".encode() for n, s in enumerate(SMILES))
    path.write_bytes(
        b"\xef\xbb\xbfSMILES;Wert;Anmerkung\r\n\r\n" + rows + b'"CCCl ";7,25;"M\xfcll\r\ner; und ""Co"""\r\n;;\r\n'
    )
    dataset = CSVMolecules(tmp_path, csv=path, target_columns=["Wert"], progress=False)
    assert len(dataset) == 41
    assert dataset[1].y.item() == 1.5
    assert dataset[40].y.item() == 7.25
    assert dataset[40].smiles == "CCCl"
    assert dataset[40].source_row.item() == 42


def test_prepared_once(table, tmp_path, monkeypatch):
    from pyg_samsa.datasets.molecules import csv_molecules

    rows = [[s, n] for n, s in enumerate(SMILES)]
    first = table(["smiles", "y"], rows)
    monkeypatch.setattr(csv_molecules, "convert_table", lambda *_, **options: 1 / 0)
    again = table(["smiles", "y"], rows)
    assert torch.equal(first._data.y, again._data.y)
    with pytest.raises(ZeroDivisionError):
        table(["smiles", "y"], [*rows, ["CBr", 1]])
    with pytest.raises(ZeroDivisionError):
        table(["smiles", "y"], rows, seed=1)


@pytest.mark.parametrize(
    ("header", "rows", "options", "told"),
    [
        (["smiles", "y"], [["C", ">10"], ["CC", "1"]], {"csv_task": "regression"}, "bounds"),
        (["smiles", "a", "b"], [["C", "x", "1"], ["CC", "z", "0"]], {"target_columns": ["a", "b"]}, "not a number"),
        (["smiles", "a", "b"], [["C", "1", "1"]], {}, "'a', 'b'"),
        (["smiles", "y"], [["C", "inf"], ["CC", "1"]], {}, "infinite"),
        (["smiles", "y"], [["C", "nan"], ["CC", ""]], {}, "no value"),
        (
            ["smiles", "y"],
            [["C", "1"], ["CC", "2"], ["O", "3"]],
            {"csv_task": "binary"},
            "'regression' or 'multiclass'",
        ),
        (["smiles", "y"], [], {}, "no rows"),
        (["mol", "y"], [["C", 1]], {"smiles_column": "smiles"}, "--smiles-column"),
        (["smiles", "y"], [["C", 1]], {"target_columns": ["smiles"]}, "the column 'smiles' is the column of SMILES"),
        (["smiles", "y"], [["C", 1]], {"split_kind": "column"}, "--split column needs the name of the column"),
        (["smiles", "y"], [["C", 1]], {"split_column": "y"}, "the column 'y' is not read with --split random"),
        (
            ["smiles", "y", "s"],
            [["C", 1, "train"]],
            {"split_kind": "column", "split_column": "s", "target_columns": ["s"]},
            "--target-columns: the column 's' is the column of the split (--split-column)",
        ),
        (["smiles", "y"], [["C", 1]], {"fractions": [0.9, 0.3]}, "fractions"),
        (["smiles", "y"], [["C", 1]], {"csv_task": "guess"}, "csv_task"),
    ],
)
def test_what_cannot_be_learned_is_explained(table, header, rows, options, told):
    with pytest.raises((ConfigError, DataError)) as caught:
        table(header, rows, **options)
    assert told in f"{caught.value} {caught.value.hint}"


def test_by_name(tmp_path):
    with pytest.raises(DataNotFoundError, match="no CSV"):
        catalog.load("samsa", "csv", tmp_path)
    with pytest.raises(DataNotFoundError, match=r"none\.csv"):
        catalog.load("samsa", "csv", tmp_path, csv=tmp_path / "none.csv")
    assert not catalog.is_prepared("csv", tmp_path)


def test_extra_columns(table):
    rows = [[s, "" if n == 3 else n / 4, 300 + n, n] for n, s in enumerate(SMILES)]
    header = ["smiles", "pH", " temperature ", "y"]
    dataset = table(header, rows, extra_columns=["temperature", "2"])
    assert dataset.features.extra_columns == ("temperature", "pH")
    assert (dataset.features.graph_channels, list(dataset.task.names)) == (2, ["y"])
    assert dataset[5].graph_features.tolist() == [[305.0, 1.25]]
    assert dataset[3].graph_features[0].isnan().tolist() == [False, True]
    train = dataset.split_idx["train"]
    torch.testing.assert_close(dataset.graph_features[dataset.split_idx["train"], 0], 300.0 + train)
    assert "graph_features" not in table(header, rows, target_columns=["y"])[0]


def test_extra_columns_keep_their_rows_when_others_are_left_out(table):
    rows = [["C(", 1, 1], *[[s, n, 300 + n] for n, s in enumerate(SMILES)]]
    dataset = table(["smiles", "y", "T"], rows, extra_columns=["T"], skip_invalid=True)
    assert [data.graph_features.item() for data in dataset] == [300.0 + n for n in range(40)]


@pytest.mark.parametrize("texts", [["25,5", "1.137"], ["25.5", "1.137"], ["25", "1137"], ["25,5", "cold"]])
def test_a_saved_model_reads_extra_columns_as_the_training_did(table, tmp_path, texts):
    rows = [[s, n, texts[n % 2]] for n, s in enumerate(SMILES)]
    options = {"missing_values": ["cold"]} if "cold" in texts else {}
    dataset = table(["smiles", "y", "T"], rows, extra_columns=["T"], **options)
    folder = save_pretrained(
        SAMSA.from_options(5, 1, channels=8, num_layers=1, heads=2, graph_channels=1),
        tmp_path / "model",
        extra_columns=dataset.features.extra_columns,
    )
    (column,) = read_config(folder).extra_columns
    found = torch.tensor([column.read(texts[n % 2]) for n in range(40)])
    torch.testing.assert_close(found, dataset._data.graph_features[:, 0], equal_nan=True)


def test_notes_on_extra_columns(table):
    rows = [[s, n, ["1,137", "n.d."][n % 2]] for n, s in enumerate(SMILES)]
    notes = table(["smiles", "y", "T"], rows, extra_columns=["T"]).notes
    assert "column 'T': read as missing: 'n.d.' (20 rows)" in notes
    assert any(note.endswith("; --decimal comma reads it as 1.137") for note in notes)


def test_comments_between_the_rows_are_left_out(table, caplog):
    rows = [[s, n] for n, s in enumerate(SMILES)]
    dataset = table(["smiles", "y"], [*rows[:20], ["# half"], *rows[20:], ["# end"]])
    assert len(dataset) == 40
    assert "2 rows left out (2 comments)" in caplog.text


def test_wrong_extra_columns(table):
    rows = [[s, n, "warm" if n == 2 else "25"] for n, s in enumerate(SMILES)]
    with pytest.raises(DataError, match="row 3, column 'T': 'warm' is not a number"):
        table(["smiles", "y", "T"], rows, extra_columns=["T"])
    with pytest.raises(ConfigError, match=r"--extra-columns: got 'heat'"):
        table(["smiles", "y", "T"], rows, extra_columns=["heat"])
    with pytest.raises(ConfigError, match=r"--extra-columns: the column 'smiles' is the column of SMILES"):
        table(["smiles", "y", "T"], rows, extra_columns=["smiles"], target_columns=["y"])
    with pytest.raises(ConfigError, match=r"--extra-columns: got \['3'\], expected columns with names"):
        table(["smiles", "y", ""], rows, extra_columns=["3"])
    with pytest.raises(ConfigError, match=r"--target-columns: the column 'y' is one of --extra-columns"):
        table(["smiles", "y", "T"], rows, extra_columns=["y"], target_columns=["y"])


def test_bounds_reach_the_graphs(table):
    rows = [[s, f">{n}" if n % 4 == 0 else n] for n, s in enumerate(SMILES)]
    with pytest.raises(DataError, match="row 1, column 'y': '>0' is a bound"):
        table(["smiles", "y"], rows)
    dataset = table(["smiles", "y"], rows, censored="bounds")
    assert [dataset[row].y_bound.item() for row in range(5)] == [1, 0, 0, 0, 1]
    assert [dataset[row].y.item() for row in range(5)] == [0, 1, 2, 3, 4]
    assert "y_bound" not in table(["smiles", "y"], rows, censored="exact")[0]
    assert len(table(["smiles", "y"], rows, censored="missing")) == 40


def test_notes_are_logged_whenever_the_data_set_is_opened(table, caplog):
    rows = [[s, "None" if n == 3 else n] for n, s in enumerate(SMILES)]
    for _ in range(2):
        caplog.clear()
        dataset = table(["smiles", "y"], rows)
        assert "table.csv: column 'y': read as missing: 'None' (1 row)" in caplog.messages
    caplog.clear()
    quiet = table(["smiles", "y"], rows, notify=False)
    assert not caplog.messages
    assert quiet.notes == dataset.notes
    assert any("few validation and test rows" in note for note in dataset.notes)


def test_an_empty_split_is_told(table):
    dataset = table(["smiles", "y"], [["CCO", 1.0], ["CCC", 2.0], ["CCN", 3.0]])
    assert dataset.notes == (
        "no validation and no test rows (3 training, 0 validation, 0 test); --folds 3 validates and tests on all rows",
    )


def test_words_beside_numbers_are_refused_before_molecules_are_converted(table, monkeypatch):
    monkeypatch.setattr("pyg_samsa.datasets.molecules.csv_molecules.convert_table", None)
    rows = [[smiles, number / 2, ("yes", "no")[number % 2]] for number, smiles in enumerate(SMILES)]
    with pytest.raises(ConfigError, match=r"'toxic' holds words \('yes' and 'no'\), and 'y' holds numbers"):
        table(["smiles", "y", "toxic"], rows, target_columns=["y", "toxic"])
    with pytest.raises(DataError, match="no rows after the header"):
        table(["smiles", "y", "toxic"], [], target_columns=["y", "toxic"])


def test_folds_make_advice_about_small_splits_needless(table, tmp_path):
    rows = [[smiles, number / 2] for number, smiles in enumerate(SMILES)]
    dataset = table(["smiles", "y"], rows)
    (note,) = dataset.notes
    assert note.endswith("their scores say little; --folds 5 uses all rows")
    assert table(["smiles", "y"], rows, cross_validated=True).notes == ()
    path = next(tmp_path.rglob("table.csv"))
    for folds, told in ((0, (note,)), (3, ())):
        load_config("csv", ["dataset.csv", str(path), "dataset.dir", str(tmp_path), "predictor.folds", folds])
        assert load_for_runner(progress=False).notes == told


@pytest.mark.parametrize("header", [["", "smiles", "y", ""], ["Unnamed: 0", "smiles", "y", " "]])
def test_columns_without_a_name_are_no_targets(table, header):
    dataset = table(header, [[n, s, n / 2, ""] for n, s in enumerate(SMILES)])
    assert dataset.task.names == ("y",)


def test_all_target_columns_at_once(table):
    header = ["id", "smiles", "NR-AR", "NR-ER", "SR-p53"]
    rows = [[f"T{n}", s, n % 2, n // 2 % 2, n // 4 % 2] for n, s in enumerate(SMILES)]
    assert table(header, rows, target_columns=["all", "!id"]).task.names == ("NR-AR", "NR-ER", "SR-p53")
    assert table(header, rows, target_columns=["NR-*"]).task.names == ("NR-AR", "NR-ER")
    with pytest.raises(DataError, match="row 1, column 'id': 'T0' is not a number"):
        table(header, rows, target_columns=["all"])


def test_missing_values_can_be_chosen(table):
    rows = [[s, ("None", "Mild", "Severe")[n % 3]] for n, s in enumerate(SMILES)]
    assert table(["smiles", "y"], rows).task.names == ("y=Severe",)
    assert table(["smiles", "y"], rows, missing_values=["", "tbd"]).task.names == ("Mild", "None", "Severe")


@pytest.mark.parametrize("split", ["random", "scaffold"])
@pytest.mark.parametrize("max_atoms", [10_000, 30_000])
def test_a_molecule_of_20000_atoms_leaves_the_others_alone(tmp_path, caplog, split, max_atoms):
    rows = [f"{'C' * (number % 9 + 1)}O,{number}.5" for number in range(20)]
    rows += [f"C1{'C' * (number + 2)}1,{number}.5" for number in range(10)] + ["C" * 20_000 + ",3.5"]
    path = tmp_path / "huge.csv"
    path.write_text("smiles,y\n" + "\n".join(rows))
    dataset = CSVMolecules(
        tmp_path, csv=path, split_kind=split, fractions=[0.5, 0.5, 0], max_atoms=max_atoms, progress=False, workers=1
    )
    assert len(dataset) == (30 if max_atoms == 10_000 else 31)
    assert sum(map(len, dataset.split_idx.values())) == len(dataset)
    assert (dataset.left_out is None) == (max_atoms == 30_000)
    assert ("(row 31 has 20,000 atoms, more than 10,000). Raise --max-atoms" in caplog.text) == (max_atoms == 10_000)


def test_molecules_of_one_scaffold_are_training_rows_and_this_is_told(table):
    dataset = table(["smiles", "y"], [["C" * n, n / 3] for n in range(1, 21)], split_kind="scaffold")
    assert len(dataset.split_idx["train"]) == 20
    assert dataset.notes == (
        "no validation and no test rows (too few scaffolds, 20 training, 0 validation, 0 test); "
        "--folds 5 validates and tests on all rows",
    )


def test_tables_without_targets(table):
    dataset = table(["smiles", "note", "price"], [[text, "x", "?"] for text in SMILES], csv_task="masked")
    assert (dataset.task.kind, len(dataset), dataset.left_out) == ("masked", 40, None)
    assert [len(rows) for rows in dataset.split_idx.values()] == [32, 4, 4]
    assert torch.equal(dataset[3].x, smiles_to_data(SMILES[3]).x)
    with pytest.raises(ConfigError, match=r"--target-columns: got \['price'\], expected none with the task masked"):
        table(["smiles", "price"], [["CC", 1]], csv_task="masked", target_columns=["price"])
