"""Settings that give way: rules by which settings of a file, and defaults, change for those of the command line."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from torch_geometric.graphgym.config import cfg

from pyg_samsa.graphgym.settings import value_of

LENGTHS = frozenset({"optim.num_warmup_epochs", "optim.num_warmup_steps", "train.eval_period"})
"""Settings that are shortened with the run. A run that is continued for more epochs has their values of before."""


@dataclass
class Changes:
    """The settings of the command line, and what was changed for them in the present ``cfg``.

    Args:
        asked: Keys of the settings of the command line.
        given: Keys of those settings and of those of the file.
        earlier: Keys of settings that were shortened in an earlier run whose configuration is read; ``cfg`` holds their
            values of before.
        shortened: Settings of `LENGTHS` that were changed -> their values of before.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> changes = Changes(frozenset({"optim.base_lr"}))
        >>> changes.change("optim.min_lr", 0.1, "optim.base_lr is higher")
        >>> changes.change("optim.base_lr", 0.2, "a reason")
        >>> cfg.optim.min_lr, cfg.optim.base_lr, changes.notes
        (0.1, 0.01, ['optim.min_lr 0 -> 0.1 (optim.base_lr is higher)'])
        >>> set_cfg(cfg)
    """

    asked: Collection[str] = frozenset()
    given: Collection[str] = frozenset()
    earlier: Collection[str] = frozenset()
    shortened: dict[str, Any] = field(default_factory=dict)
    _only: Collection[str] | None = None
    _noted: list[tuple[str, str]] = field(default_factory=list)

    @property
    def notes(self) -> list[str]:
        """A text for each change."""
        return self.notes_without(lambda _: False)

    def notes_without(self, left_out: Callable[[str], bool]) -> list[str]:
        """Return a text for each change, without those of some settings.

        Args:
            left_out: Says of the key of a setting whether its changes are left out.

        Example:
            >>> from torch_geometric.graphgym.config import set_cfg
            >>> set_cfg(cfg)
            >>> changes = Changes()
            >>> changes.change("optim.min_lr", 0.5, "a reason")
            >>> changes.notes_without(lambda key: key.startswith("optim."))
            []
            >>> set_cfg(cfg)
        """
        return [text for key, text in self._noted if not left_out(key)]

    def change(self, key: str, value: Any, reason: str) -> None:
        """Change a setting that was not asked for, and note it; one that was asked for stays as it is.

        Args:
            key: Dotted name.
            value: Its new value.
            reason: Why, for the note.
        """
        old = value_of(key, cfg)
        if key in self.asked or old == value or (self._only is not None and key not in self._only):
            return
        group, _, name = key.rpartition(".")
        (cfg[group] if group else cfg)[name] = value
        if key in LENGTHS:
            self.shortened.setdefault(key, old)
        self._noted.append((key, f"{key} {_show(old)} -> {_show(value)} ({reason})"))

    def apply(self, rules: Collection[Rule], *data: Any) -> None:
        """Apply the rules that act on what was asked for.

        Args:
            rules: The rules.
            *data: The data set, for rules that need it.
        """
        for rule in rules:
            # Without a setting that asks for it, only what was shortened before may be shortened again.
            self._only = None if not rule.to or not rule.to.isdisjoint(self.asked) else self.earlier
            if self._only is None or self._only:
                rule.function(self, *data)
        self._only = None


@dataclass(frozen=True)
class Rule:
    """A setting that gives way to others.

    Args:
        what: The setting or the settings, as text.
        to: Keys of the settings that it gives way to; none for a rule that always acts.
        becomes: Its new value, as text.
        because: What it gives way to, as text.
        function: Changes it in the present ``cfg``, called with `Changes`, and with the data set if the rule needs it.
    """

    what: str
    to: frozenset[str]
    becomes: str
    because: str
    function: Callable[..., None]


def rule_in(
    rules: list[Rule], what: str, *to: str, becomes: str, because: str = ""
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that makes a rule of a function, and adds it to a list.

    Args:
        rules: The list.
        what: See `Rule`.
        *to: Keys of the settings that it gives way to.
        becomes: See `Rule`.
        because: See `Rule`; by default the keys.

    Example:
        >>> rules = []
        >>> @rule_in(rules, "`optim.min_lr`", "optim.base_lr", becomes="the same rate")
        ... def lower(changes):
        ...     changes.change("optim.min_lr", cfg.optim.base_lr, "optim.base_lr is lower")
        >>> rules[0].because
        '`optim.base_lr`'
    """

    def add(function: Callable[..., None]) -> Callable[..., None]:
        rules.append(Rule(what, frozenset(to), becomes, because or ", ".join(f"`{key}`" for key in to), function))
        return function

    return add


def _show(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(str, value))}]"
    return "null" if value is None else str(value) or "''"
