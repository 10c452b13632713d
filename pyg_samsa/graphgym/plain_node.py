"""GraphGym's configuration keeps NumPy's numbers as Python's own."""

from __future__ import annotations

from typing import Any

from torch_geometric.graphgym.config import CN, cfg

from pyg_samsa.options import plain


class PlainNode(CN):
    """A group of settings that keeps the numbers, booleans and texts of NumPy as Python's own, see `plain`.

    yacs itself refuses them, and the number of a parameter grid is often one of them.

    Example:
        >>> import numpy as np
        >>> node = PlainNode()
        >>> node.base_lr = np.float64(0.5)
        >>> node["sizes"] = [np.int64(2)]
        >>> node
        PlainNode({'base_lr': 0.5, 'sizes': [2]})
    """

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, _kept(value))

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, _kept(value))

    def update(self, *values: Any, **named: Any) -> None:
        """Set several settings, as ``dict.update`` does."""
        super().update({name: _kept(value) for name, value in dict(*values, **named).items()})

    def merge_from_list(self, cfg_list: list[Any]) -> None:
        """Set the settings of a list ``[key, value, key, value, ...]``."""
        super().merge_from_list(plain(cfg_list))


def keep_plain_numbers(node: CN) -> None:
    """Let a configuration, and all groups that it has and gets, keep numbers as Python's own.

    Args:
        node: GraphGym's ``cfg``, or another configuration.

    Example:
        >>> import numpy as np
        >>> keep_plain_numbers(cfg)
        >>> cfg.optim.base_lr = np.float64(0.5)
        >>> type(cfg.optim.base_lr).__name__
        'float'
    """
    if type(node) is CN:
        object.__setattr__(node, "__class__", PlainNode)  # yacs takes any other assignment for a setting
    for value in node.values():
        if isinstance(value, CN):
            keep_plain_numbers(value)


def _kept(value: Any) -> Any:
    if isinstance(value, CN):
        keep_plain_numbers(value)
        return value
    return plain(value)


keep_plain_numbers(cfg)
