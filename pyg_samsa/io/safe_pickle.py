"""Reads pickles from outside without running code in them.

Some benchmarks publish pickles of numbers and arrays. A pickle is a program: it can call any function by name and
rewrite the state of any object. This reader accepts only the names that arrays need, and gives the pickle stand-ins
for them, never the functions and objects of numpy or torch themselves. The result is rebuilt from the stand-ins.

A pickle can also ask for far more memory or time than its size suggests. The arrays, tensors and sets that it makes,
and everything that its result stands for, are counted against the size of the file. The unpickler is the one that is
written in Python: it remembers objects in a dictionary. That in C has an array, which one number makes as large as it
says.
"""

from __future__ import annotations

import io
import math
import os
import pickle
import pickletools
import zipfile
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np

from pyg_samsa.errors import DataIntegrityError, DataNotFoundError

_HINT = "The file may be harmful: do not open it with other tools; download it again from its official source."
_PLAIN = (bool, int, float, complex, str, bytes, bytearray, type(None))
_KINDS = "biufcSU"
_DEEPEST = 50
_KEY_PARTS = 100  # a tuple that holds the same tuple twice, 40 times over, takes years to be looked up as a key
_LARGEST_KEY = 2**61 - 1  # larger integers share the hashes of smaller ones
_UNFOLDED, _UNFOLDED_TIMES, _REFERENCE = 2**24, 16, 8
_CONTAINERS = (list, tuple, set, frozenset)
# What a storage of torch consists of; nothing in it is used twice or called.
_STORAGE_OPCODES = {
    *("PROTO", "FRAME", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2"),
    *("LONG", "LONG1", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
    *("EMPTY_TUPLE", "EMPTY_LIST", "LIST", "APPEND", "APPENDS", "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS"),
    *("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GLOBAL", "STACK_GLOBAL", "BINPERSID"),
}
_PUTS, _GETS = ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), ("GET", "BINGET", "LONG_BINGET")
_ITEMS = ("ADDITEMS", "FROZENSET")
# Opcode -> whether it takes all down to the last mark, how many objects below that (or at all), and how many it leaves.
_EFFECTS = {
    code.name: (
        pickletools.markobject in code.stack_before,
        [*code.stack_before, pickletools.markobject].index(pickletools.markobject),
        len(code.stack_after),
    )
    for code in pickletools.opcodes
}
# These opcodes reach objects without naming them: extension registry, persistent ids, external buffers.
_REFUSED_OPCODES = {"EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID", "NEXT_BUFFER", "READONLY_BUFFER"}


class _Refused(Exception):
    """A name or value that a file of numbers does not need."""


class _Allowance:
    """Counts the bytes that a pickle makes beside those that it holds."""

    def __init__(self, size: int) -> None:
        self.size, self.left = size, _UNFOLDED + _UNFOLDED_TIMES * size

    def take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise _Refused(f"content that unfolds to many times the {self.size:,} bytes of the file")


_ALLOWANCE: ContextVar[_Allowance] = ContextVar("_ALLOWANCE")


class _Stand:
    """Stands in for a global; refuses to have its state rewritten."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call

    def __call__(self, *args: Any) -> Any:
        return self.call(*args)

    def __setstate__(self, state: object) -> NoReturn:
        raise _Refused("a rewritten function")


class _Made:
    """Stands in for a complete object."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __setstate__(self, state: object) -> NoReturn:
        raise _Refused("a rewritten object")

    def unwrap(self) -> Any:
        return self.value


class _DType:
    """Stands in for ``numpy.dtype``; only the byte order is taken from the state in the pickle."""

    __slots__ = ("dtype",)

    def __init__(self, name: object, *_: object) -> None:
        dtype = np.dtype(name) if isinstance(name, str) and len(name) < 20 else None
        if dtype is None or dtype.kind not in _KINDS or dtype.names is not None or dtype.subdtype is not None:
            raise _Refused(f"an array of type {name!r}")
        self.dtype = dtype

    def __setstate__(self, state: object) -> None:
        if (
            not isinstance(state, tuple)
            or len(state) < 5
            or state[1] not in tuple("<>|=")
            or state[2:5] != (None, None, None)
        ):
            raise _Refused("an array of a type of its own")
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """Stands in for ``numpy.ndarray``."""

    __slots__ = ("array",)

    def __init__(self, kind: object, shape: object, _: object) -> None:
        if kind is not _NDARRAY or shape != (0,):
            raise _Refused("an array of a type of its own")
        self.array = np.empty(0, dtype=np.int8)

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise _Refused("an array of a type of its own")
        _, shape, dtype, is_fortran, content = state
        self.array = _array(content, dtype, shape, "F" if is_fortran else "C")

    def unwrap(self) -> np.ndarray:
        return self.array


def _array(content: object, dtype: object, shape: object, order: object) -> np.ndarray:
    if not isinstance(dtype, _DType) or not isinstance(content, (bytes, bytearray)) or order not in ("C", "F"):
        raise _Refused("an array of a type of its own")
    if not isinstance(shape, tuple) or any(type(size) is not int or size < 0 for size in shape):
        raise _Refused("an array of a shape of its own")
    if math.prod(shape) * dtype.dtype.itemsize != len(content):
        raise _Refused(f"an array of shape {shape} with {len(content)} bytes")
    _ALLOWANCE.get().take(len(content))
    flat = np.frombuffer(content, dtype=dtype.dtype) if content else np.empty(0, dtype=dtype.dtype)
    return flat.reshape(shape, order="F" if order == "F" else "C").copy(order="K")


def _array_from_buffer(content: object, dtype: object, shape: object, order: object) -> _Made:
    return _Made(_array(content, dtype, shape, order))


def _scalar(dtype: object, content: object) -> _Made:
    return _Made(_array(content, dtype, (), "C")[()])


def _encode(text: object, encoding: object) -> bytes:
    if encoding != "latin1" or not isinstance(text, str):
        raise _Refused(f"the encoding {encoding!r}")
    _ALLOWANCE.get().take(len(text))
    return text.encode("latin1")


def _plain(kind: type) -> Callable[..., Any]:
    def make(*args: object) -> Any:
        if any(type(arg) not in (list, tuple, int, float, bytes) for arg in args) or (
            kind in (bytes, bytearray) and int in map(type, args)
        ):
            raise _Refused(f"a {kind.__name__} of something else")
        for arg in args:
            if isinstance(arg, (list, tuple, bytes)):
                _ALLOWANCE.get().take(len(arg))
                if kind in (set, frozenset):
                    _check_keys(arg)
        return kind(*args)

    return make


def _never(*_: object) -> NoReturn:
    raise _Refused("an array without its maker")


def _ordered(*args: object) -> dict[Any, Any]:
    if args:
        raise _Refused("a dictionary of something else")
    return {}


def _storage(content: object) -> _Made:
    import torch

    if not isinstance(content, bytes):
        raise _Refused("a tensor without content")
    _check_storage(content)
    _ALLOWANCE.get().take(len(content))
    storage = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
    if not isinstance(storage, torch.storage.TypedStorage):
        raise _Refused("a tensor without storage")
    return _Made(storage)


def _check_storage(content: bytes) -> None:
    """Raise an error unless a storage has the form that torch writes, and no number in it is above its size."""
    file = io.BytesIO(content)
    # Its mark, version and system, then what it is, and the names of its parts.
    for part in ("mark", "version", "system", "content", "names"):
        for opcode, value, _ in pickletools.genops(file):
            is_large = part in ("content", "names") and type(value) is int and value > len(content)
            if opcode.name not in _STORAGE_OPCODES or is_large:
                raise _Refused("a tensor whose storage is not as torch writes it")


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: object) -> _Made:
    import torch

    if not isinstance(storage, _Made) or not isinstance(storage.value, torch.storage.TypedStorage):
        raise _Refused("a tensor without storage")
    whole = storage.value
    if math.prod(size) * whole.dtype.itemsize > whole._untyped_storage.nbytes():
        raise _Refused("a tensor larger than its storage")
    _ALLOWANCE.get().take(math.prod(size) * whole.dtype.itemsize)
    flat = torch.empty(0, dtype=whole.dtype).set_(whole._untyped_storage)
    return _Made(flat.as_strided(size, stride, offset).clone())


_NDARRAY = _Stand(_never)
_ARRAYS: dict[tuple[str, str], _Stand] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Stand(_DType),
    ("_codecs", "encode"): _Stand(_encode),
}
for _core in ("core", "_core"):
    _ARRAYS[f"numpy.{_core}.multiarray", "_reconstruct"] = _Stand(_Array)
    _ARRAYS[f"numpy.{_core}.multiarray", "scalar"] = _Stand(_scalar)
    _ARRAYS[f"numpy.{_core}.numeric", "_frombuffer"] = _Stand(_array_from_buffer)
# Protocols before 4 write these types as calls; Python 2 had another name for their module.
for _module in ("builtins", "__builtin__"):
    for _kind in (set, frozenset, bytes, bytearray, complex):
        _ARRAYS[_module, _kind.__name__] = _Stand(_plain(_kind))
_TENSORS: dict[tuple[str, str], _Stand] = {
    ("torch._utils", "_rebuild_tensor_v2"): _Stand(_tensor),
    ("torch.storage", "_load_from_bytes"): _Stand(_storage),
    ("collections", "OrderedDict"): _Stand(_ordered),
}


def _check_keys(keys: Any) -> None:
    """Raise an error about keys of dictionaries, or items of sets, that take long to be looked up."""
    for key in keys:
        parts, count = [key], 0
        while parts:
            part = parts.pop()
            count += 1
            if isinstance(part, (tuple, frozenset)):
                parts += part
            if count + len(parts) > _KEY_PARTS or (type(part) is int and abs(part) >= _LARGEST_KEY):
                raise _Refused("a key that is not a plain name or number")


_Machine: Any = pickle._Unpickler  # in Python, see above


class _Unpickler(_Machine):  # type: ignore[misc]
    def __init__(self, file: io.BytesIO, known: dict[tuple[str, str], _Stand]) -> None:
        super().__init__(file)
        self._known = known

    def find_class(self, module: str, name: str) -> _Stand:
        if (module, name) not in self._known:
            raise _Refused(f"the global {module}.{name}")
        return self._known[module, name]

    def persistent_load(self, pid: object) -> NoReturn:
        raise _Refused("a reference to something outside of it")

    def _set_item(self) -> None:
        _check_keys(self.stack[-2:-1])
        _Machine.load_setitem(self)

    def _set_items(self) -> None:
        _check_keys(self.stack[::2])
        _Machine.load_setitems(self)

    def _dict(self) -> None:
        _check_keys(self.stack[::2])
        _Machine.load_dict(self)

    def _add_items(self) -> None:
        _check_keys(self.stack)
        _Machine.load_additems(self)

    def _frozenset(self) -> None:
        _check_keys(self.stack)
        _Machine.load_frozenset(self)

    dispatch = _Machine.dispatch | {
        pickle.SETITEM[0]: _set_item,
        pickle.SETITEMS[0]: _set_items,
        pickle.DICT[0]: _dict,
        pickle.ADDITEMS[0]: _add_items,
        pickle.FROZENSET[0]: _frozenset,
    }


def load(path: str | os.PathLike[str], *, tensors: bool = False) -> Any:
    """Read a pickle of plain containers, numbers, strings and numpy arrays.

    Anything else is refused before it is called. Both names of numpy's core are known (``numpy.core`` before version
    2, ``numpy._core`` since). Arrays of objects, records or custom types are refused, as are containers that contain
    themselves or are nested deeper than 50 levels, and keys of more than 100 parts. Arrays, tensors and containers take
    at most 16 bytes for each byte of the file, and 16 MiB; what is used twice counts twice. A file that ``torch.save``
    wrote is read too, if it holds arrays and no tensors.

    Args:
        path: Pickle of any protocol.
        tensors: Whether to allow torch tensors; their content is read with ``weights_only=True``.

    Raises:
        DataNotFoundError: The file does not exist.
        DataIntegrityError: The file is truncated, not a pickle, or holds something else; the error names it.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "split.pickle"
        >>> _ = path.write_bytes(pickle.dumps({"train": np.arange(3)}))
        >>> load(path)
        {'train': array([0, 1, 2])}
        >>> _ = path.write_bytes(pickle.dumps(print))
        >>> load(path)
        Traceback (most recent call last):
        pyg_samsa.errors.DataIntegrityError: .../split.pickle: got the global builtins.print, expected a pickle of ...

    Cost: memory for the whole file and its content.
    """
    if not Path(path).is_file():
        raise DataNotFoundError(f"{path}: no such file", hint="Check the path.")
    expected = f"a pickle of numbers, texts and {'tensors' if tensors else 'arrays'}"
    content = Path(path).read_bytes()
    token = _ALLOWANCE.set(_Allowance(len(content)))
    try:
        content = _pickle_in(content)
        _refuse_opcodes(content)
        result = _Unpickler(io.BytesIO(content), _ARRAYS | _TENSORS if tensors else _ARRAYS).load()
        _ALLOWANCE.get().take(_unfolded(result, 0, {}))
        return _rebuild(result, 0, {})
    except _Refused as error:
        raise DataIntegrityError(path, expected, str(error), hint=_HINT) from None
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise DataIntegrityError(path, expected, f"a damaged file ({type(error).__name__}: {error})") from error
    finally:
        _ALLOWANCE.reset(token)


def _pickle_in(content: bytes) -> bytes:
    """Return the pickle in an archive of ``torch.save``, and any other content as it is."""
    if not content.startswith(b"PK"):
        return content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [member for member in archive.infolist() if member.filename.endswith("/data.pkl")]
        if len(members) != 1 or members[0].compress_type != zipfile.ZIP_STORED:
            raise _Refused("an archive of something else")
        return archive.read(members[0])


def quick_keys(content: bytes | IO[bytes]) -> bool:
    r"""Say whether no key of a pickle takes long to be looked up, without reading the pickle.

    A tuple that holds the same tuple twice, and so on, has more parts than any file: to look it up takes years. The
    unpickler of torch, which reads checkpoints, does not check this. A stream is read to the end of the pickle.

    Example:
        >>> quick_keys(pickle.dumps({"a": (1, 2)}))
        True
        >>> key: tuple = ()
        >>> for _ in range(40):
        ...     key = (key, key)
        >>> quick_keys(b"\x80\x02}" + pickle.dumps(key, 2)[2:-1] + b"Ns.")
        False
    """
    stack: list[int | None] = []  # the parts of each object; None is a mark
    memo: dict[Any, int] = {}
    for opcode, arg, _ in pickletools.genops(content):
        name = opcode.name
        if name in _PUTS:
            memo[len(memo) if arg is None else arg] = (stack[-1] or 0) if stack else 0
        elif name in _GETS:
            stack.append(memo.get(arg, 1))
        elif name == "MARK":
            stack.append(None)
        elif name == "DUP":
            stack += stack[-1:]
        else:
            marked, popped, pushed = _EFFECTS[name]
            taken: list[int] = []
            if marked:
                while stack and stack[-1] is not None:
                    taken.append(stack.pop() or 0)
                del stack[-1:]
                taken.reverse()
            below = [part or 0 for part in stack[max(0, len(stack) - popped) :]]
            keys = taken[::2] if name in ("SETITEMS", "DICT") else taken if name in _ITEMS else []
            keys = below[1:2] if name == "SETITEM" else keys
            if max(keys, default=0) > _KEY_PARTS:
                return False
            del stack[max(0, len(stack) - popped) :]
            stack += [min(10**6, 1 + sum(taken) + sum(below))] * pushed
    return True


def _refuse_opcodes(content: bytes) -> None:
    for opcode, _, _ in pickletools.genops(content):
        if opcode.name in _REFUSED_OPCODES:
            raise _Refused(f"the opcode {opcode.name}")


def _unfolded(value: Any, depth: int, sizes: dict[int, int]) -> int:
    """Return the bytes of a value in which nothing is shared; texts, which nobody copies, count as numbers."""
    if isinstance(value, _PLAIN):
        return _REFERENCE
    if isinstance(value, (_Made, _Array)):
        return _REFERENCE + int(getattr(value.unwrap(), "nbytes", 0))
    if id(value) not in sizes:
        if depth > _DEEPEST:
            raise _Refused(f"containers nested deeper than {_DEEPEST} levels")
        inner = [*value, *value.values()] if type(value) is dict else value if isinstance(value, _CONTAINERS) else []
        sizes[id(value)] = _REFERENCE + sum(_unfolded(each, depth + 1, sizes) for each in inner)
    return sizes[id(value)]


def _rebuild(value: Any, depth: int, done: dict[int, Any]) -> Any:
    """Replace stand-ins by values; a container that occurs several times is rebuilt once."""
    if isinstance(value, _PLAIN):
        return value
    if depth > _DEEPEST:
        raise _Refused(f"containers nested deeper than {_DEEPEST} levels")
    if isinstance(value, (_Made, _Array)):
        return value.unwrap()
    if id(value) in done:
        return done[id(value)]
    if type(value) is dict:
        rebuilt: Any = {_rebuild(key, depth + 1, done): _rebuild(item, depth + 1, done) for key, item in value.items()}
    elif type(value) in (list, tuple, set, frozenset):
        rebuilt = type(value)(_rebuild(item, depth + 1, done) for item in value)
    else:
        raise _Refused("a name instead of a value")
    done[id(value)] = rebuilt
    return rebuilt
