"""Random ListOps expressions, thousands of trees at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pyg_samsa.errors import ConfigError
from pyg_samsa.options import check_integer

_OPERATION = 0.25
_FIRST_OPERATOR, _NUM_OPERATORS, _END = 10, 4, 14
_MIN, _MAX, _MED = 0, 1, 2
_TREES = 2000
_FRUITLESS = 50


class Shape(NamedTuple):
    """Form of an expression.

    Args:
        min_length: It has more symbols than this.
        max_length: It has fewer symbols than this.
        max_depth: Depth of the deepest digits.
        max_args: Arguments of an operation at most.

    Example:
        >>> Shape(min_length=5, max_length=50, max_depth=3, max_args=4).check()
        >>> Shape(min_length=90, max_length=100, max_depth=2, max_args=2).check()
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: min_length: got 90, expected less than 4
    """

    min_length: int
    max_length: int
    max_depth: int
    max_args: int

    def check(self) -> None:
        """Raise a :class:`ConfigError` when no expression has this form."""
        for key, lowest in (("min_length", 1), ("max_length", 5), ("max_depth", 2), ("max_args", 2)):
            check_integer(key, getattr(self, key), low=lowest)
        longest = 1
        for _ in range(self.max_depth - 1):
            longest = min(2 + self.max_args * longest, self.max_length)
        if longest <= self.min_length + (longest == self.max_length):
            reachable = f"less than {longest - (longest == self.max_length)}"
            raise ConfigError("min_length", self.min_length, reachable, hint="Raise max_length, max_depth or max_args.")


class _Level(NamedTuple):
    """The places of one depth of many trees, ordered by tree and parent.

    Args:
        tree: Number of the tree of each place.
        args: Number of arguments; 0 for a digit.
    """

    tree: np.ndarray
    args: np.ndarray


def sample_expressions(
    count: int, shape: Shape, seed: int, advance: Callable[[float], None]
) -> tuple[list[np.ndarray], list[int]]:
    """Return different random expressions and their values.

    Args:
        count: Number of expressions.
        shape: Form of the expressions.
        seed: Seed of the generator.
        advance: Called with the number of new expressions.

    Returns:
        Symbols uint8 [n] of each, and values.

    Raises:
        ConfigError: There are fewer different expressions, or almost no tree has this form.

    Example:
        >>> sequences, values = sample_expressions(3, Shape(10, 20, 4, 4), 0, lambda _: None)
        >>> all(10 < len(symbols) < 20 for symbols in sequences), len(values)
        (True, 3)

    Cost: a few tenths of a millisecond of one core per expression of the Long Range Arena's form; memory O(count).
    """
    sequences: list[np.ndarray] = []
    values: list[int] = []
    seen: set[bytes] = set()
    batch = fruitless = 0
    while len(values) < count:
        rng = np.random.default_rng([seed, batch])
        before = len(values)
        for symbols, value in zip(*_build(rng, *_grow(rng, shape)), strict=True):
            mark = hashlib.blake2b(symbols.tobytes(), digest_size=16).digest()
            if mark not in seen and len(values) < count:
                seen.add(mark)
                sequences.append(symbols)
                values.append(value)
        advance(len(values) - before)
        batch += 1
        fruitless = 0 if len(values) > before else fruitless + 1
        if fruitless == _FRUITLESS:
            asked = f"{count} expressions with {shape.min_length} to {shape.max_length} symbols"
            raise ConfigError("rows", asked, f"about {before}", hint="Ask for fewer, or for a wider range of lengths.")
    return sequences, values


def _grow(rng: np.random.Generator, shape: Shape) -> tuple[list[_Level], int]:
    """Grow trees level by level and keep those of the right length."""
    lengths = np.full(_TREES, 2)
    tree = np.arange(_TREES)
    levels = [_Level(tree, rng.integers(2, shape.max_args + 1, _TREES))]
    for depth in range(2, shape.max_depth + 1):
        tree = np.repeat(levels[-1].tree, levels[-1].args)
        tree = tree[lengths[tree] < shape.max_length]
        args = np.zeros(len(tree), dtype=np.int64)
        if depth < shape.max_depth:
            chosen = rng.random(len(tree)) < _OPERATION
            args[chosen] = rng.integers(2, shape.max_args + 1, int(chosen.sum()))
        lengths += np.bincount(tree, weights=1 + (args > 0), minlength=_TREES).astype(np.int64)
        levels.append(_Level(tree, args))
    # A tree that was left unfinished is too long already, so it is never among the kept ones.
    kept = (lengths > shape.min_length) & (lengths < shape.max_length)
    number = np.cumsum(kept) - 1
    return [_Level(number[level.tree[kept[level.tree]]], level.args[kept[level.tree]]) for level in levels], int(
        kept.sum()
    )


def _build(rng: np.random.Generator, levels: list[_Level], count: int) -> tuple[list[np.ndarray], list[int]]:
    """Choose operators and digits, evaluate from the leaves up, and write the symbols from the roots down."""
    symbols: list[np.ndarray] = []
    values: list[np.ndarray] = []
    sizes: list[np.ndarray] = []
    for level in reversed(levels):
        drawn = rng.integers(0, 10, len(level.args))
        size = np.ones(len(level.args), dtype=np.int64)
        inner = level.args > 0
        symbol = drawn.copy()
        if inner.any():
            operators = rng.integers(0, _NUM_OPERATORS, int(inner.sum()))
            starts = _starts(level.args[inner])
            symbol[inner] = _FIRST_OPERATOR + operators
            drawn[inner] = _apply(operators, values[-1], starts, level.args[inner])
            size[inner] = 2 + np.add.reduceat(sizes[-1], starts)
        symbols.append(symbol)
        values.append(drawn)
        sizes.append(size)
    texts = _write(levels, symbols[::-1], sizes[::-1])
    return np.split(texts, np.cumsum(sizes[-1])[:-1]) if count else [], values[-1].tolist()


def _starts(sizes: np.ndarray) -> np.ndarray:
    return np.cumsum(sizes) - sizes


def _apply(operators: np.ndarray, values: np.ndarray, starts: np.ndarray, args: np.ndarray) -> np.ndarray:
    ordered = np.sort(np.repeat(np.arange(len(args)), args) * 10 + values) % 10
    median = (ordered[starts + (args - 1) // 2] + ordered[starts + args // 2]) // 2
    choices = [ordered[starts], ordered[starts + args - 1], median]
    return np.select(
        [operators == _MIN, operators == _MAX, operators == _MED], choices, np.add.reduceat(values, starts) % 10
    )


def _write(levels: list[_Level], symbols: list[np.ndarray], sizes: list[np.ndarray]) -> np.ndarray:
    texts = np.empty(int(sizes[0].sum()), dtype=np.uint8)
    place = _starts(sizes[0])
    for level, symbol, size, below in zip(levels, symbols, sizes, [*sizes[1:], None], strict=True):
        inner = level.args > 0
        texts[place] = symbol
        texts[place[inner] + size[inner] - 1] = _END
        if below is not None:
            args = level.args[inner]
            before = _starts(below)
            place = (
                np.repeat(place[inner] + 1 - before[_starts(args)], args) + before
                if len(args)
                else np.empty(0, dtype=np.int64)
            )
    return texts
