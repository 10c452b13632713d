"""The task: its targets, and the conversion of raw outputs to values and probabilities."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyg_samsa.errors import ConfigError, check_choice

if TYPE_CHECKING:
    # The command line reads the names of tasks before it knows whether torch can be imported.
    from torch import Tensor

KINDS = ("regression", "binary", "multilabel", "multiclass")
MASKED = "masked"
"""Kind of a task without labels: features of nodes are hidden, and predicted from the rest of the graph."""
WORDS = "words"
"""Kind of a task whose target is a sequence of words, such as the name of a function."""
UNLISTED = (MASKED, WORDS)
"""Kinds of tasks whose test predictions are not written: they have no column for each target."""
UNKNOWN_WORD, END_WORD = "__UNK__", "__EOS__"
"""The last two words of a vocabulary: any other word, and the end of the sequence."""
LEVELS = ("graph", "node", "link")
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Task:
    r"""A supervised task: its targets and what they belong to.

    Args:
        kind: ``"regression"``, ``"binary"`` (one label), ``"multilabel"`` (several labels, each 0, 1 or NaN),
            ``"multiclass"`` (one of C classes), ``"masked"`` (hidden features of nodes, no labels), or ``"words"`` (a
            sequence of words).
        names: Names of the C targets; of the classes for ``"multiclass"``. For ``"words"`` the V words of the
            vocabulary, the last of which are ``UNKNOWN_WORD`` and ``END_WORD``.
        level: What has targets: ``"graph"``, ``"node"`` or ``"link"``.
        parts: For part segmentation: the classes that the points of a shape of each category can have.
        pairs: Whether a graph holds two documents, told apart by the node attribute ``document``.
        positions: For ``"words"``: the number of words that are predicted, at least 1. The C = ``positions`` V outputs
            are the logits of the words at the first position, then at the second, and so on.

    Raises:
        ConfigError: ``kind`` or ``level`` is unknown, there is no target, or ``positions`` do not fit the kind.

    Example:
        >>> import torch
        >>> task = Task("binary", ["toxic"])
        >>> task.num_targets, task.readable(torch.tensor([[0.0]])).item()
        (1, 0.5)
    """

    kind: str
    names: Sequence[str]
    level: str = "graph"
    parts: Sequence[Sequence[int]] = ()
    pairs: bool = False
    positions: int = 0

    def __post_init__(self) -> None:
        check_choice("task.kind", self.kind, (*KINDS, MASKED, WORDS))
        check_choice("task.level", self.level, LEVELS)
        names = self.names
        if isinstance(names, str) or not names or not all(isinstance(name, str) for name in names):
            raise ConfigError("task.names", names, "a list of at least one name")
        object.__setattr__(self, "names", tuple(names))
        try:
            parts = tuple(tuple(operator.index(number) for number in part) for part in self.parts)
        except TypeError:
            raise ConfigError("task.parts", self.parts, "a list of lists of class numbers") from None
        object.__setattr__(self, "parts", parts)
        given = self.positions
        if isinstance(given, bool) or not isinstance(given, int) or (given >= 1) != (self.kind == WORDS) or given < 0:
            raise ConfigError("task.positions", given, "at least 1" if self.kind == WORDS else "0")
        if self.kind == WORDS and self.names[-2:] != (UNKNOWN_WORD, END_WORD):
            raise ConfigError("task.names", self.names[-2:], f"{UNKNOWN_WORD} and {END_WORD} as the last words")

    @property
    def num_targets(self) -> int:
        """Width C of the output of a network.

        Example:
            >>> Task("words", ["get", "name", "__UNK__", "__EOS__"], positions=5).num_targets
            20
        """
        return len(self.names) * max(1, self.positions)

    @property
    def has_labels(self) -> bool:
        """Whether every target is a label, 0 or 1: ``"binary"`` and ``"multilabel"``."""
        return self.kind in ("binary", "multilabel")

    def readable(self, output: Tensor) -> Tensor:
        r"""Convert the output of a network to values or probabilities.

        .. math::
            \hat y = \begin{cases}
                o & \text{regression} \\
                \sigma(o) & \text{binary, multilabel} \\
                \mathrm{softmax}(o) & \text{multiclass; words, at each position}
            \end{cases}

        Args:
            output: Output of the network [..., C]; regressions are already in the units of the data.

        Returns:
            Values or probabilities [..., C].

        Example:
            >>> import torch
            >>> Task("multiclass", ["a", "b"]).readable(torch.zeros(1, 2)).tolist()
            [[0.5, 0.5]]
        """
        if self.kind in ("regression", MASKED):
            return output
        if self.kind == WORDS:
            return output.unflatten(-1, (self.positions, len(self.names))).softmax(-1).flatten(-2)
        return output.softmax(-1) if self.kind == "multiclass" else output.sigmoid()

    def as_dict(self) -> dict[str, Any]:
        """Return the task as plain values that JSON can hold; `from_dict` reads them again.

        Example:
            >>> Task("regression", ["logS"]).as_dict()
            {'kind': 'regression', 'level': 'graph', 'names': ['logS']}
        """
        described: dict[str, Any] = {"kind": self.kind, "level": self.level, "names": list(self.names)}
        if self.parts:
            described["parts"] = [list(part) for part in self.parts]
        if self.pairs:
            described["pairs"] = True
        if self.positions:
            described["positions"] = self.positions
        return described

    @classmethod
    def from_dict(cls, described: Any, *, origin: str = "task") -> Task:
        """Read what `as_dict` wrote; other keys are ignored.

        Args:
            described: Names and values.
            origin: Where it comes from, for the error.

        Raises:
            ConfigError: A value is missing or not allowed.

        Example:
            >>> Task.from_dict({"kind": "binary", "names": ["toxic"]}).level
            'graph'
        """
        if not isinstance(described, Mapping):
            raise ConfigError(origin, type(described).__name__, "a mapping with kind and names")
        try:
            return cls(
                described.get("kind", ""),
                described.get("names", ()),
                described.get("level", "graph"),
                described.get("parts", ()),
                described.get("pairs", False) is True,
                described.get("positions", 0),
            )
        except ConfigError as error:
            raise ConfigError(f"{origin}: {error.key}", error.value, "an allowed value", hint=str(error)) from error
