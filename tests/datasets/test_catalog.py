import pytest

from pyg_samsa.datasets import catalog
from pyg_samsa.errors import ConfigError, DataNotFoundError

GRAPHGPS = [
    ("OGB", "peptides-functional", "peptides-func"),
    ("OGB", "peptides-structural", "peptides-struct"),
    ("OGB", "PCQM4Mv2Contact-shuffle", "pcqm-contact"),
    ("OGB", "ogbg-molhiv", "ogbg-molhiv"),
    ("OGB", "ogbg_molpcba", "ogbg-molpcba"),
    ("OGB", "ogbg-code2", "ogbg-code2"),
    ("OGB", "ogbg-ppa", "ogbg-ppa"),
    ("PyG-VOCSuperpixels", "edge_wt_region_boundary", "pascalvoc-sp"),
    ("PyG-COCOSuperpixels", "edge_wt_region_boundary", "coco-sp"),
    ("PyG-ZINC", "subset", "zinc"),
    ("PyG-ZINC", "full", "zinc-full"),
    ("PyG-LRGBDataset", "PascalVOC-SP", "pascalvoc-sp"),
    ("PyG-LRGBDataset", "Peptides-func", "peptides-func"),
    ("samsa", "peptides-embedded", "peptides-embedded"),
    ("samsa", "modelnet10", "modelnet10"),
    ("samsa", "modelnet40", "modelnet40"),
    ("samsa", "shapenetpart", "shapenetpart"),
    ("samsa", "shapes", "shapes"),
    ("samsa", "shapes-parts", "shapes-parts"),
    *(
        ("samsa", name, name)
        for name in ("listops", "pathfinder", "imdb", "imdb-embedded", "cifar10-gray", "digits", "aan")
    ),
]


@pytest.mark.parametrize(("format", "name", "ours"), GRAPHGPS)
def test_names_of_graphgps_configurations(format, name, ours):
    assert catalog.knows(format, name)
    assert catalog.canonical(format, name) == ours


@pytest.mark.parametrize(
    ("format", "name"),
    [("PyG", "Cora"), ("OGB", "ogbl-ppa"), ("OGB", "ogbg-ppi"), ("samsa", "x"), ("", ""), ("PyG-ZINC", "zinc")],
)
def test_what_is_not_ours_is_left_to_others(format, name, tmp_path):
    assert not catalog.knows(format, name)
    with pytest.raises(ConfigError):
        catalog.load(format, name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_available_are_known_and_distinct():
    pairs = catalog.available()
    assert len(set(pairs)) == len(pairs)
    assert all(catalog.knows(*pair) for pair in pairs)
    assert {catalog.canonical(*pair) for pair in pairs} == set(catalog.names())


WITHOUT_FILES = (
    "peptides-embedded",
    "shapes",
    "shapes-parts",
    "contacts",
    "listops",
    "pathfinder",
    "imdb-embedded",
    "digits",
    "news-pairs",
)


@pytest.mark.parametrize("name", [name for name in catalog.names() if name not in WITHOUT_FILES])
def test_every_name_reaches_its_own_files(name, tmp_path):
    offline = {"download": False} if "download" in catalog.option_names("samsa", name) else {}
    with pytest.raises(DataNotFoundError):
        catalog.load("samsa", name, tmp_path, progress=False, **offline)
    assert not catalog.is_prepared(name, tmp_path)


@pytest.mark.parametrize(("name", "targets"), [("shapes", 18), ("shapes-parts", 31)])
def test_shapes_by_name(name, targets, tmp_path):
    dataset = catalog.load("samsa", name, tmp_path, per_family=3, num_points=16, progress=False)
    assert dataset.task.num_targets == targets
    assert "parts" not in catalog.option_names("samsa", name)
    assert not catalog.is_prepared(name, tmp_path)  # that is the set of the default options


def test_prepared_paths_are_distinct(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("pathlib.Path.is_file", lambda self: bool(asked.append(self)))
    for name in catalog.names():
        catalog.is_prepared(name, tmp_path)
    # Where a table of molecules is prepared depends on the table.
    assert len(set(asked)) == len(set(catalog.names()) - {"csv"})


def test_unknown_names_are_never_prepared(tmp_path):
    with pytest.raises(ConfigError, match="zinq"):
        catalog.is_prepared("zinq", tmp_path)


@pytest.mark.parametrize("option", ["foo", "worker", "subset"])
def test_unknown_options_are_named(option, tmp_path):
    with pytest.raises(ConfigError, match=option):
        catalog.load("samsa", "peptides-func", tmp_path, **{option: 1})
    assert not list(tmp_path.iterdir())


def test_suggestions(tmp_path):
    with pytest.raises(ConfigError) as caught:
        catalog.load("OGB", "peptides-functonal", tmp_path)
    assert "peptides-functional" in caught.value.hint
    with pytest.raises(ConfigError) as caught:
        catalog.load("Samsa", "peptides-func", tmp_path)
    assert "samsa" in caught.value.hint
