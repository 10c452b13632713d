"""Pickles that attack their reader, and honest ones that must still be read."""

import codecs
import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch

from pyg_samsa.errors import DataIntegrityError, DataNotFoundError
from pyg_samsa.io import safe_pickle


class Call:
    """Pickles as the call of a function, which the reader is meant to make."""

    def __init__(self, function, *args, state=None):
        self.call = (function, args) if state is None else (function, args, state)

    def __reduce__(self):
        return self.call


def write(tmp_path, content):
    path = tmp_path / "split.pickle"
    path.write_bytes(content)
    return path


def named_call(module, name, *args):
    """Protocol 0 by hand: names a global that pickle itself would refuse to write."""
    return (
        b"c"
        + module.encode()
        + b"\n"
        + name.encode()
        + b"\n("
        + b"".join(b"V" + arg.encode() + b"\n" for arg in args)
        + b"tR."
    )


CALLS = {
    "os.system": Call(os.system, "touch {marker}"),
    "builtins.eval": Call(eval, "open('{marker}', 'w')"),
    "builtins.exec": Call(exec, "open('{marker}', 'w')"),
    "builtins.open": Call(open, "{marker}", "w"),
    "subprocess.Popen": Call(subprocess.Popen, ["touch", "{marker}"]),
    "torch.load": Call(torch.load, "{marker}"),
    "numpy.load": Call(np.load, "{marker}"),
    "numpy.fromfile": Call(np.fromfile, "{marker}"),
    "builtins.getattr": Call(getattr, "x", "__class__"),
    "builtins.print": Call(print, "x"),
}


def fill(call, marker):
    function, args = call.call
    return Call(
        function,
        *(
            [part.format(marker=marker) for part in arg] if isinstance(arg, list) else arg.format(marker=marker)
            for arg in args
        ),
    )


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("tensors", [False, True])
@pytest.mark.parametrize("name", CALLS)
def test_calls_are_refused_by_name_and_not_made(tmp_path, name, protocol, tensors):
    marker = tmp_path / "marker"
    attack = fill(CALLS[name], marker)
    for value in (attack, {"train": [np.arange(3), (attack,)]}):
        path = write(tmp_path, pickle.dumps(value, protocol=protocol))
        with pytest.raises(DataIntegrityError) as caught:
            safe_pickle.load(path, tensors=tensors)
        assert str(path) in str(caught.value)
        assert name.rsplit(".")[-1] in str(caught.value)
        assert "global" in str(caught.value)
        assert not marker.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("posix", "system"),
        ("nt", "system"),
        ("__builtin__", "eval"),
        ("builtins", "__import__"),
        ("os", "popen"),
        ("pty", "spawn"),
        ("importlib", "import_module"),
        ("torch.hub", "load"),
        ("numpy.lib.npyio", "load"),
        ("numpy", "testing._private.utils.runstring"),
        ("numpy.core.multiarray", "fromfile"),
        ("numpy", "ndarray.tofile"),
        ("numpy.core.multiarray", "_reconstruct.__globals__"),
        ("pyg_samsa.io.safe_pickle", "_ARRAYS"),
        ("_codecs", "lookup"),
        ("functools", "partial"),
        ("collections", "OrderedDict"),
        ("pickle", "loads"),
    ],
)
def test_names_are_refused_whatever_they_are(tmp_path, module, name):
    with pytest.raises(DataIntegrityError, match="global"):
        safe_pickle.load(write(tmp_path, named_call(module, name, "x")))


def test_dotted_names_do_not_reach_through_allowed_globals(tmp_path):
    content = (
        b"\x80\x04"
        + b"".join(b"\x8c" + bytes([len(text)]) + text for text in (b"numpy", b"ndarray.__class__.__subclasses__"))
        + b"\x93."
    )
    with pytest.raises(DataIntegrityError, match="__subclasses__"):
        safe_pickle.load(write(tmp_path, content))


def object_array(value):
    array = np.empty(1, dtype=object)
    array[0] = value
    return array


@pytest.mark.parametrize(
    "value",
    [
        object_array(1),
        object_array("x"),
        np.zeros(2, dtype=[("a", "i4"), ("b", "O")]),
        np.zeros(2, dtype=[("a", "i4")]),
        np.zeros(2, dtype="V8"),
        np.array(["2020-01-01"], dtype="M8[D]"),
        np.ma.array([1, 2]),
        np.rec.array([(1, 2)]),
        np.matrix([[1]]),
        np.dtype("O"),
        np.ndarray,
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_arrays_of_other_kinds_are_refused(tmp_path, value, protocol):
    with pytest.raises(DataIntegrityError):
        safe_pickle.load(write(tmp_path, pickle.dumps({"train": value}, protocol=protocol)))


def reconstruct(*state, kind=np.ndarray, shape=(0,)):
    return Call(np._core.multiarray._reconstruct, kind, shape, b"b", state=state)


@pytest.mark.parametrize(
    "value",
    [
        reconstruct(1, (1 << 40,), np.dtype("i8"), False, b"short"),
        reconstruct(1, (-1,), np.dtype("i8"), False, b""),
        reconstruct(1, (1,), np.dtype("i8"), False, [print]),
        reconstruct(1, (2,), "i8", False, b"\0" * 16),
        Call(np._core.multiarray._reconstruct, np.ndarray, (1 << 34,), b"b"),
        Call(np._core.multiarray.scalar, np.dtype("i8"), b"\0"),
        Call(np._core.multiarray.scalar, np.dtype("O"), 1),
        Call(np.dtype, "O8", False, True),
        Call(np.dtype, "i4,O"),
        Call(np.dtype, {"names": ["a"], "formats": ["O"]}),
        Call(np.dtype, "(1000000000,)i8"),
        Call(bytes, 1 << 40),
        Call(bytearray, 1 << 40),
        Call(codecs.encode, "x", "rot13"),
        Call(codecs.encode, "x", "idna"),
        Call(set, "abc"),
    ],
)
def test_tricks_with_what_is_allowed(tmp_path, value):
    with pytest.raises(DataIntegrityError):
        safe_pickle.load(write(tmp_path, pickle.dumps(value, protocol=4)))


def state(content, value):
    """The pickle of an object, with another state for it."""
    return content[:-1] + pickle.dumps(value, protocol=2)[2:-1] + b"b."


I8 = b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00i8\x85R."


@pytest.mark.parametrize(
    "content",
    [
        state(b"cnumpy\ndtype\n.", (None, {"call": 1})),
        state(b"cnumpy\ndtype\n.", {"call": 1}),
        state(b"cnumpy\nndarray\n.", {"call": 1}),
        state(I8, (3, "<", None, ("a",), {"a": (1, 0)}, 8, 1, 0)),
        state(I8, (3, "<", ("O", (1,)), None, None, 8, 1, 0)),
        state(I8, (3, "?", None, None, None, -1, -1, 0)),
        state(I8, "no"),
        state(pickle.dumps(np.int64(1), protocol=2), {"value": 1}),
        state(pickle.dumps(np.arange(2), protocol=2), (1, (2,), "i8", False, b"")),
        state(pickle.dumps(np.arange(2), protocol=2), (None, {"array": 1})),
    ],
)
def test_states_cannot_be_rewritten(tmp_path, content):
    with pytest.raises(DataIntegrityError):
        safe_pickle.load(write(tmp_path, content))
    assert safe_pickle.load(write(tmp_path, pickle.dumps(np.arange(3)))).tolist() == [0, 1, 2]


def test_flags_of_a_type_are_ignored(tmp_path):
    # An integer type that claims to hold references to objects would make numpy follow the numbers as addresses.
    honest = pickle.dumps(np.arange(2), protocol=2)
    assert honest.count(b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00") == 1
    content = honest.replace(b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00", b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3f")
    loaded = safe_pickle.load(write(tmp_path, content))
    assert loaded.tolist() == [0, 1]
    assert not loaded.dtype.hasobject
    assert loaded.dtype.flags == np.dtype("i8").flags


@pytest.mark.parametrize("opcode", [b"\x82\x01", b"\x83\x01\x00", b"\x84\x01\x00\x00\x00", b"Pid\n", b"K\x01Q"])
def test_extensions_and_persistent_ids_are_refused(tmp_path, opcode):
    with pytest.raises(DataIntegrityError, match="opcode"):
        safe_pickle.load(write(tmp_path, b"\x80\x02" + opcode + b"."))


def test_every_truncation_is_one_clear_error(tmp_path):
    content = pickle.dumps({"train": np.arange(5), "val": [1, "two", (3.0, None)]}, protocol=4)
    for end in range(len(content)):
        with pytest.raises(DataIntegrityError, match=r"split\.pickle"):
            safe_pickle.load(write(tmp_path, content[:end]))


def test_random_damage_never_escapes(tmp_path):
    rng = np.random.default_rng(0)
    content = np.frombuffer(pickle.dumps({"train": np.arange(20), "val": [1, "two"]}, protocol=4), dtype=np.uint8)
    refused = 0
    for _ in range(500):
        damaged = content.copy()
        damaged[rng.integers(len(content), size=3)] = rng.integers(256, size=3)
        try:
            safe_pickle.load(write(tmp_path, damaged.tobytes()))
        except DataIntegrityError:
            refused += 1
    assert refused > 200


@pytest.mark.parametrize(
    "content",
    [b"", b"smiles,labels\n", b"\x1f\x8b\x08", b"PK\x03\x04", b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + b"."],
)
def test_files_of_other_kinds(tmp_path, content):
    with pytest.raises(DataIntegrityError, match="damaged"):
        safe_pickle.load(write(tmp_path, content))


def nested(levels):
    return b"\x80\x02" + b"]" * levels + b"a" * (levels - 1) + b"."


def test_nesting(tmp_path):
    value = safe_pickle.load(write(tmp_path, nested(50)))
    for _ in range(49):
        (value,) = value
    assert value == []
    for levels in (60, 200_000):
        with pytest.raises(DataIntegrityError, match="nested"):
            safe_pickle.load(write(tmp_path, nested(levels)))


def test_a_list_that_holds_itself(tmp_path):
    value: list = []
    value.append(value)
    with pytest.raises(DataIntegrityError, match="nested"):
        safe_pickle.load(write(tmp_path, pickle.dumps(value)))


def test_a_list_that_is_doubled_again_and_again(tmp_path):
    # 2 ** 40 leaves in a file of 400 bytes.
    content = (
        b"\x80\x02]q\x00"
        + b"".join(b"](h" + bytes([level]) + b"h" + bytes([level]) + b"eq" + bytes([level + 1]) for level in range(40))
        + b"."
    )
    with pytest.raises(DataIntegrityError, match="unfolds"):
        safe_pickle.load(write(tmp_path, content))
    value = safe_pickle.load(write(tmp_path, content.replace(b"eq\x06", b"eq\x06.")))
    for _ in range(6):
        assert value[0] is value[1]
        value = value[0]
    assert value == []


def doubled(levels):
    """A tuple that holds the same tuple twice, and so on; it is the top of the stack."""
    return b")q\x00" + b"".join(
        b"h" + bytes([i]) + b"h" + bytes([i]) + b"\x86q" + bytes([i + 1]) for i in range(levels)
    )


LARGE = pickle.dumps(b"x" * 2**17, protocol=3)[2:-1]
# What the file holds, and a word of the answer; it is read where nothing is allocated for what it announces.
BOMBS = {
    "memo": (b"\x80\x02Nr\xff\xff\xff\x7f.", "read"),
    "memo in text": (b"\x80\x02Np2147483647\n.", "read"),
    "bytearray8": (b"\x80\x05\x96" + struct.pack("<Q", 1 << 30) + b"x.", "damaged"),
    "binbytes8": (b"\x80\x04\x8e" + struct.pack("<Q", 1 << 30) + b"x.", "damaged"),
    "long4": (b"\x80\x02\x8b" + struct.pack("<i", (1 << 31) - 1) + b"x.", "damaged"),
    "frame": (b"\x80\x04\x95" + struct.pack("<Q", 1 << 30) + b"N.", "read"),
    "key": (b"\x80\x02}" + doubled(45) + b"Ns.", "a key that"),
    "keys": (b"\x80\x02}(" + doubled(45) + b"Nu.", "a key that"),
    "dict": (b"(" + doubled(45) + b"Nd.", "a key that"),
    "set": (b"\x80\x04\x8f(" + doubled(45) + b"\x90.", "a key that"),
    "frozenset": (b"\x80\x04(" + doubled(45) + b"\x91.", "a key that"),
    "set of a list": (b"\x80\x02cbuiltins\nset\n](" + doubled(45) + b"e\x85R.", "a key that"),
    "equal hashes": (
        b"\x80\x02}(" + b"".join(pickle.dumps(i * (2**61 - 1), 2)[2:-1] + b"N" for i in range(1, 99)) + b"u.",
        "a key that",
    ),
    "copies of bytes": (b"\x80\x04]" + LARGE + b"0(" + b"cbuiltins\nbytearray\nh\x00\x85R" * 4000 + b"e.", "unfolds"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_small_files_that_ask_for_much(tmp_path, name):
    """In a process that may take little memory and time, for what is wrong would end this one."""
    path = write(tmp_path, BOMBS[name][0])
    code = """
import resource, sys
from pyg_samsa.errors import DataIntegrityError
from pyg_samsa.io import safe_pickle
held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + 2**28, -1))
resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
try:
    safe_pickle.load(sys.argv[1])
except DataIntegrityError as error:
    print(error)
else:
    print("read")
"""
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert BOMBS[name][1] in done.stdout


@pytest.mark.parametrize("protocol", range(6))
def test_honest_content_is_read(tmp_path, protocol):
    value = {
        "train": np.arange(5),
        "f": np.arange(6.0).reshape(2, 3).T,
        "big": np.arange(3, dtype=">i4"),
        "text": np.array(["a", "bc"]),
        "none": [None, True, 1 << 70, 2.5, "ä", b"x", b"", (1, {2, 3}, frozenset([4])), 1j, bytearray(b"y")],
        "scalar": [np.float32(2), np.int64(-1), np.bool_(True)],
        "zero": np.zeros((0, 3)),
        "point": np.array(3.0),
    }
    loaded = safe_pickle.load(write(tmp_path, pickle.dumps(value, protocol=protocol)))
    for key in ("train", "f", "big", "text", "zero", "point"):
        assert np.array_equal(loaded[key], value[key])
        assert loaded[key].dtype == value[key].dtype
    assert loaded["none"] == value["none"]
    assert [(item, item.dtype) for item in loaded["scalar"]] == [(item, item.dtype) for item in value["scalar"]]


@pytest.mark.parametrize("core", [b"numpy.core", b"numpy._core"])
def test_both_names_of_numpys_core(tmp_path, core):
    # Protocol 2 names globals in plain lines, without lengths.
    content = pickle.dumps({"train": np.arange(4)}, protocol=2)
    for known in (b"numpy.core.multiarray", b"numpy._core.multiarray"):
        content = content.replace(known, b"@")
    assert b"@" in content
    loaded = safe_pickle.load(write(tmp_path, content.replace(b"@", core + b".multiarray")))
    assert loaded["train"].tolist() == [0, 1, 2, 3]


def test_arrays_that_torch_saved(tmp_path):
    path = tmp_path / "split_dict.pt"
    torch.save({"train": np.arange(3), "valid": np.array([7])}, path)
    found = safe_pickle.load(path)
    assert {split: rows.tolist() for split, rows in found.items()} == {"train": [0, 1, 2], "valid": [7]}


def test_other_archives_are_refused(tmp_path):
    torch.save({"train": torch.arange(3)}, tmp_path / "tensors")
    torch.save([Call(os.getcwd)], tmp_path / "call")
    with zipfile.ZipFile(tmp_path / "packed", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", pickle.dumps({"train": 3}))
    with zipfile.ZipFile(tmp_path / "two", "w") as archive:
        for name in ("a", "b"):
            archive.writestr(f"{name}/data.pkl", pickle.dumps({"train": 3}))
    (tmp_path / "cut").write_bytes((tmp_path / "two").read_bytes()[:-40])
    for name in ("tensors", "call", "packed", "two", "cut"):
        with pytest.raises(DataIntegrityError, match=name):
            safe_pickle.load(tmp_path / name)


def test_missing_file(tmp_path):
    with pytest.raises(DataNotFoundError, match="gone"):
        safe_pickle.load(tmp_path / "gone")


TENSORS = [
    torch.arange(6).view(2, 3),
    torch.ones(3, 4, dtype=torch.float64).t(),
    torch.arange(10)[2::3],
    torch.tensor(3),
    torch.zeros(0, 2),
]


@pytest.mark.parametrize("protocol", range(2, 6))
def test_tensors_are_read_when_allowed(tmp_path, protocol):
    value = [(tensor, {"again": tensor}) for tensor in TENSORS]
    path = write(tmp_path, pickle.dumps(value, protocol=protocol))
    for (loaded, again), expected in zip(safe_pickle.load(path, tensors=True), TENSORS, strict=True):
        assert torch.equal(loaded, expected)
        assert torch.equal(again["again"], expected)
        assert loaded.dtype == expected.dtype
    with pytest.raises(DataIntegrityError, match="global torch"):
        safe_pickle.load(path)


def storage_bytes(value):
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def test_tensor_content_cannot_hold_code(tmp_path):
    marker = tmp_path / "marker"
    attack = Call(torch.storage._load_from_bytes, storage_bytes(Call(os.system, f"touch {marker}")))
    with pytest.raises(DataIntegrityError):
        safe_pickle.load(write(tmp_path, pickle.dumps(attack)), tensors=True)
    assert not marker.exists()


@pytest.mark.parametrize(
    "args",
    [
        (0, (1 << 40,), (0,)),
        (0, (100,), (1,)),
        (50, (4,), (1,)),
        (-3, (1,), (1,)),
        (0, (2,), (-1,)),
        ("a", (1,), (1,)),
        (0, None, None),
    ],
)
def test_tensor_views_beyond_their_storage(tmp_path, args):
    storage = Call(
        torch.storage._load_from_bytes,
        storage_bytes(
            torch.storage.TypedStorage(
                wrap_storage=torch.arange(4).untyped_storage(), dtype=torch.int64, _internal=True
            )
        ),
    )
    attack = Call(torch._utils._rebuild_tensor_v2, storage, *args, False, {})
    with pytest.raises(DataIntegrityError):
        safe_pickle.load(write(tmp_path, pickle.dumps(attack)), tensors=True)


def test_copies_of_one_storage_count(tmp_path):
    storage = storage_bytes(torch.zeros(2**17, dtype=torch.int64)._typed_storage())
    content = b"\x80\x04ctorch.storage\n_load_from_bytes\n" + pickle.dumps(storage, 3)[2:-3] + b"\x85Rq\x010("
    view = b"ctorch._utils\n_rebuild_tensor_v2\n(h\x01K\x00J\x00\x00\x02\x00\x85K\x01\x85\x89NtR"
    path = write(tmp_path, content + view * 2 + b"l.")
    assert len(safe_pickle.load(path, tensors=True)) == 2
    path = write(tmp_path, content + view * 60 + b"l.")
    with pytest.raises(DataIntegrityError, match="unfolds"):
        safe_pickle.load(path, tensors=True)


@pytest.mark.parametrize("count", [1 << 27, 1 << 40])
def test_storages_that_ask_for_more_than_they_hold(tmp_path, count):
    honest = storage_bytes(torch.zeros(300, dtype=torch.int64)._typed_storage())
    assert honest.count(b"M\x2c\x01") == 1
    attack = honest.replace(b"M\x2c\x01", pickle.dumps(count, 2)[2:-1])
    with pytest.raises(DataIntegrityError, match="storage is not as torch writes it"):
        safe_pickle.load(write(tmp_path, pickle.dumps(Call(torch.storage._load_from_bytes, attack))), tensors=True)


def test_storages_in_another_form(tmp_path):
    buffer = io.BytesIO()
    torch.save(torch.zeros(2), buffer)
    for content in (buffer.getvalue(), storage_bytes({(): 1}).replace(b")", b")q\x01h\x01", 1)):
        with pytest.raises(DataIntegrityError):
            safe_pickle.load(write(tmp_path, pickle.dumps(Call(torch.storage._load_from_bytes, content))), tensors=True)


@pytest.mark.parametrize("name", ["key", "keys", "dict", "set", "frozenset"])
def test_slow_keys_are_found_without_reading(name):
    assert not safe_pickle.quick_keys(BOMBS[name][0])


@pytest.mark.parametrize("protocol", range(6))
def test_other_keys_are_quick(protocol):
    pair = (1, 2)
    value = {
        ("a", pair, pair): [pair] * 500,
        "b": {1: {pair: {"c", "d"}}},
        pair: tuple(range(1000)),
        "x": frozenset("ab"),
    }
    assert safe_pickle.quick_keys(pickle.dumps(value, protocol))
    assert safe_pickle.quick_keys(pickle.dumps({"t": [np.arange(3), 1.5, None, b"x"]}, protocol))
