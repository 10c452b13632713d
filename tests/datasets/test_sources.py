import importlib.util
import re
from pathlib import Path

import pandas as pd
import pytest

from pyg_samsa.datasets import sources
from pyg_samsa.datasets.sources import RemoteFile, gnn_benchmark_zip, ogb_zip


def files():
    found = [value for value in vars(sources).values() if isinstance(value, RemoteFile)]
    return [
        *found,
        *sources.LRGB_ZIPS.values(),
        *sources.ZINC_INDEX.values(),
        ogb_zip("hiv"),
        ogb_zip("code2", molecules=False),
        gnn_benchmark_zip("MNIST"),
    ]


def test_files_are_fetched_over_tls_and_hashes_are_whole():
    for file in files():
        assert file.url.startswith("https://")
        assert file.known_hash is None or re.fullmatch(r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}", file.known_hash)


def test_names_are_distinct():
    names = [(file.name, file.url) for file in files()]
    assert len(set(names)) == len(names)


@pytest.mark.skipif(importlib.util.find_spec("ogb") is None, reason="ogb is not installed")
def test_archives_of_ogb_are_where_ogb_looks_for_them():
    (folder,) = importlib.util.find_spec("ogb").submodule_search_locations
    table = pd.read_csv(Path(folder) / "graphproppred/master.csv", index_col=0, keep_default_na=False)
    for name in table:
        archive = ogb_zip(Path(table[name]["url"]).stem, molecules=name.startswith("ogbg-mol"))
        assert archive.url.removeprefix("https") == table[name]["url"].removeprefix("http")
        assert archive.name == table[name]["download_name"] + ".zip"
