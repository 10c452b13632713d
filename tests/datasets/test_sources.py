import re

from pyg_samsa.datasets import sources
from pyg_samsa.datasets.sources import RemoteFile, gnn_benchmark_zip, ogb_zip


def files():
    found = [value for value in vars(sources).values() if isinstance(value, RemoteFile)]
    return [
        *found,
        *sources.LRGB_ZIPS.values(),
        *sources.ZINC_INDEX.values(),
        ogb_zip("hiv"),
        gnn_benchmark_zip("MNIST"),
    ]


def test_files_are_fetched_over_tls_and_hashes_are_whole():
    for file in files():
        assert file.url.startswith("https://")
        assert file.known_hash is None or re.fullmatch(r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}", file.known_hash)


def test_names_are_distinct():
    names = [(file.name, file.url) for file in files()]
    assert len(set(names)) == len(names)
