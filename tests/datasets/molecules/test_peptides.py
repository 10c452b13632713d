import hashlib
import os
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from pyg_samsa.chem import sequence_to_data
from pyg_samsa.datasets.molecules import peptides
from pyg_samsa.datasets.molecules.peptides import LISTS, EmbeddedPeptides, read_lists
from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError, MissingDependencyError

COMBINATIONS = {
    ("antimicrobial",): 2471,
    ("uniprot",): 2080,
    ("transmembrane",): 619,
    ("random",): 413,
    ("anticancer",): 343,
    ("anticancer", "antimicrobial"): 70,
    ("antimicrobial", "uniprot"): 22,
}
NAN = float("nan")
ROWS = {
    ("antimicrobial",): [1, NAN, 0],
    ("uniprot",): [0, 0, NAN],
    ("transmembrane",): [0, 0, 1],
    ("random",): [0, 0, 0],
    ("anticancer",): [NAN, 1, 0],
    ("anticancer", "antimicrobial"): [1, 1, 0],
    ("antimicrobial", "uniprot"): [1, NAN, NAN],
}


@pytest.fixture(scope="module")
def lists():
    return read_lists()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """All peptides, prepared once for all processes of pytest-xdist, whose folders are beside each other."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "peptides"
    EmbeddedPeptides(folder, progress=False)
    return folder


@pytest.fixture(scope="module")
def dataset(root):
    return EmbeddedPeptides(root, progress=False)


def same(first, second):
    return torch.equal(torch.nan_to_num(first, -1.0), torch.nan_to_num(second, -1.0))


def test_lists(lists):
    assert Counter(tuple(sorted(names)) for names in lists.values()) == COMBINATIONS
    assert (min(map(len, lists)), max(map(len, lists))) == (7, 174)
    assert set("".join(lists)) == set("ACDEFGHIKLMNPQRSTVWY")


def test_modlamp_itself_is_not_imported(lists):
    assert "modlamp" not in sys.modules


@pytest.mark.parametrize("unlabelled", ["unknown", "negative"])
def test_labels_are_the_documented_ones(unlabelled):
    listed = torch.tensor([[name in names for name in LISTS] for names in ROWS])
    expected = torch.tensor([list(row) for row in ROWS.values()])
    found = peptides._labels(listed, unlabelled)
    assert same(found, expected if unlabelled == "unknown" else expected.nan_to_num(0.0))


@pytest.mark.slow
def test_counts(dataset):
    y = dataset._data.y
    assert len(dataset) == 6018
    assert list(dataset.task.names) == ["antimicrobial", "anticancer", "transmembrane"]
    assert (dataset.task.kind, dataset.task.level, dataset.task.num_targets) == ("multilabel", "graph", 3)
    assert [(int((column == 1).sum()), int((~column.isnan()).sum())) for column in y.T] == [
        (2563, 5675),
        (413, 3525),
        (619, 3916),
    ]
    nodes, edges = (dataset.slices[key].diff() for key in ("x", "edge_index"))
    assert (
        int(nodes.min()),
        int(nodes.max()),
        round(float(nodes.double().mean())),
        round(float(edges.double().mean())),
    ) == (52, 1359, 229, 465)
    assert (
        Counter(
            tuple(sorted(name for name, is_listed in zip(LISTS, row, strict=True) if is_listed))
            for row in dataset.listed.tolist()
        )
        == COMBINATIONS
    )


@pytest.mark.slow
def test_the_docstring_counts_right():
    text = " ".join(EmbeddedPeptides.__doc__.split())
    for number in (
        "6,018",
        "2,563 of 5,675",
        "413 of 3,525",
        "619 of 3,916",
        "4,212 / 903 / 903",
        "2,471",
        "7,264 rows",
        "52 to 1,359",
    ):
        assert number in text


@pytest.mark.slow
def test_graphs_are_the_molecules_of_the_sequences(dataset, lists):
    assert set(dataset._data.sequence) == set(lists)
    for position in range(0, len(dataset), 401):
        found = dataset[position]
        expected = sequence_to_data(found.sequence)
        for key in ("x", "edge_index", "edge_attr", "smiles"):
            assert torch.equal(found[key], expected[key]) if key != "smiles" else found.smiles == expected.smiles


@pytest.mark.slow
def test_split_is_whole_disjoint_stratified_and_fixed(dataset):
    split = dataset.split_idx
    assert {name: len(positions) for name, positions in split.items()} == {"train": 4212, "val": 903, "test": 903}
    assert torch.equal(torch.cat(list(split.values())).sort().values, torch.arange(6018))
    for name, share in (("train", 0.7), ("val", 0.15), ("test", 0.15)):
        counted = Counter(tuple(row) for row in dataset.listed[split[name]].tolist())
        for row, total in Counter(tuple(row) for row in dataset.listed.tolist()).items():
            assert abs(counted[row] - share * total) <= 1
    digest = hashlib.sha256(
        "\n".join(sorted(dataset._data.sequence[position] for position in split["test"].tolist())).encode()
    ).hexdigest()
    assert (
        digest == "fa54033a1e237d46898e674362adaa28b58d41e94324ffe9c58669ead46df98a"
    )  # results on this split are compared between machines and versions


@pytest.mark.slow
def test_seed_changes_the_split_and_nothing_else(root, dataset):
    other = EmbeddedPeptides(root, seed=1)
    assert {name: len(positions) for name, positions in other.split_idx.items()} == {
        "train": 4212,
        "val": 903,
        "test": 903,
    }
    shared = len(set(other.split_idx["test"].tolist()) & set(dataset.split_idx["test"].tolist()))
    assert 50 < shared < 250
    assert same(other._data.y, dataset._data.y)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{"max_residues": 12}, {"subset": 300}, {"subset": 100, "max_residues": 20}, {"subset": 100_000}]
)
def test_smaller_sets_are_parts_of_the_whole(root, dataset, options):
    small = EmbeddedPeptides(root, **options)
    sequences = small._data.sequence
    where = {sequence: position for position, sequence in enumerate(dataset._data.sequence)}
    limit = options.get("max_residues", 1000)
    assert max(map(len, sequences)) <= limit
    if options.get("subset", 10**6) < 6018:
        assert abs(len(small) - options["subset"]) <= 3
    elif "subset" in options:
        assert len(small) == 6018
    else:
        assert len(small) == sum(len(sequence) <= limit for sequence in where)
    for split, positions in small.split_idx.items():
        assert len(positions) > 0.1 * len(small)
        assert {where[sequences[position]] for position in positions.tolist()} <= set(dataset.split_idx[split].tolist())
    assert len(small.listed) == len(small)
    for position in (0, len(small) - 1):
        found, expected = small[position], dataset[where[sequences[position]]]
        assert torch.equal(found.edge_index, expected.edge_index)
        assert same(found.y, expected.y)


@pytest.mark.slow
def test_negative_labels(root, dataset):
    assert same(EmbeddedPeptides(root, unlabelled="negative")._data.y, dataset._data.y.nan_to_num(0.0))


@pytest.mark.slow
def test_prepared_once(root, monkeypatch):
    monkeypatch.setattr(peptides, "_prepare", None)
    assert len(EmbeddedPeptides(root)) == 6018
    assert sorted(path.name for path in (root / "peptides-embedded").iterdir()) == [
        ".peptides-embedded-v1.pt.lock",
        "peptides-embedded-v1.pt",
    ]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"unlabelled": "zero"}, "unlabelled"),
        ({"max_residues": 0}, "max_residues"),
        ({"subset": 1}, "subset"),
        ({"max_residues": 3}, "7"),
    ],
)
def test_bad_options(tmp_path, options, match, monkeypatch):
    small = dict(list(read_lists().items())[::600])
    monkeypatch.setattr(peptides, "read_lists", lambda: small | {"GGGGGGG": {"random"}})
    with pytest.raises(ConfigError, match=match):
        EmbeddedPeptides(tmp_path, progress=False, **options)


def fake_modlamp(tmp_path, monkeypatch, change):
    real = Path(find_spec("modlamp").submodule_search_locations[0]) / "data"
    package = tmp_path / "site" / "modlamp"
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('imported')")
    for path in real.glob("*.csv"):
        content = change(path)
        if content is not None:
            (package / "data" / path.name).write_bytes(content)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.read_bytes().replace(b"\r\n", b"\n"),
        lambda path: path.read_bytes().rstrip(),
        lambda path: b"\r\n".join(path.read_bytes().splitlines()),
    ],
)
def test_line_ends_do_not_matter(tmp_path, monkeypatch, change, lists):
    fake_modlamp(tmp_path, monkeypatch, change)
    assert read_lists() == lists


def test_other_tables_are_refused(tmp_path, monkeypatch):
    fake_modlamp(tmp_path, monkeypatch, lambda path: path.read_bytes().replace(b"GLWSKIKEVGK", b"GLWSKIKEVGR"))
    with pytest.raises(DataIntegrityError, match=r"AMPvsUniProt\.csv") as caught:
        read_lists()
    assert "pip install" in caught.value.hint


def test_a_missing_table_is_named(tmp_path, monkeypatch):
    fake_modlamp(tmp_path, monkeypatch, lambda path: None if path.name == "AMPvsTMset.csv" else path.read_bytes())
    with pytest.raises(DataNotFoundError, match=r"AMPvsTMset\.csv"):
        read_lists()


def test_without_modlamp(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="modlamp") as caught:
        read_lists()
    assert "chem" in caught.value.hint
