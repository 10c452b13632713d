"""Texts of many graphs in two tensors, which can be mapped from a file."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import overload

import numpy as np
import torch
from torch import Tensor

_BLOCK = 2**14


class Texts(Sequence[str]):
    """A sequence of texts that is stored as UTF-8 bytes and offsets.

    A list of Python strings takes some 100 bytes a text more, and has to be in memory.

    Args:
        content: Texts one after the other, uint8 [L].
        ptr: Where each begins and ends, int64 [G + 1].

    Example:
        >>> texts = Texts.of(["CCO", "", "é"])
        >>> len(texts), texts[2], list(texts), texts[:2]
        (3, 'é', ['CCO', '', 'é'], ['CCO', ''])
    """

    def __init__(self, content: Tensor, ptr: Tensor) -> None:
        self.content, self.ptr = content, ptr

    @classmethod
    def of(cls, texts: Iterable[str]) -> Texts:
        """Return the texts of a list.

        Example:
            >>> Texts.of(["a", "bc"]).ptr
            tensor([0, 1, 3])
        """
        (column,) = cls.columns(((text,) for text in texts), 1)
        return column

    @classmethod
    def columns(cls, rows: Iterable[Sequence[str]], count: int) -> list[Texts]:
        """Return the columns of a table whose rows are read once.

        Args:
            rows: Rows of texts.
            count: Number of columns.

        Example:
            >>> [list(column) for column in Texts.columns([["a", "1"], ["b", ""]], 2)]
            [['a', 'b'], ['1', '']]
        """
        contents, ends = [bytearray() for _ in range(count)], [array("q", [0]) for _ in range(count)]
        for row in rows:
            for text, content, end in zip(row, contents, ends, strict=True):
                content += text.encode("utf-8", "surrogatepass")
                end.append(len(content))
        return [
            cls(torch.from_numpy(np.frombuffer(content, np.uint8)), torch.from_numpy(np.frombuffer(end, np.int64)))
            for content, end in zip(contents, ends, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.ptr) - 1

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> list[str]: ...

    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        if not -len(self) <= place < len(self):
            raise IndexError(f"text {place} of {len(self)}")
        begin, end = self.ptr[place % len(self) : place % len(self) + 2].tolist()
        return _decode(self.content[begin:end].numpy().tobytes())

    def __iter__(self) -> Iterator[str]:
        for begin in range(0, len(self), _BLOCK):
            ends = self.ptr[begin : begin + _BLOCK + 1].tolist()
            block = self.content[ends[0] : ends[-1]].numpy().tobytes()
            for start, end in pairwise(ends):
                yield _decode(block[start - ends[0] : end - ends[0]])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)})"


def _decode(text: bytes) -> str:
    return text.decode("utf-8", "surrogatepass")
