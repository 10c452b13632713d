"""Registration with GraphGym; registering the same entry twice is no error."""

from __future__ import annotations

import logging
from typing import Any

_LOGGER = logging.getLogger(__name__)


def register_once(registry: dict[str, Any], name: str, entry: Any) -> None:
    """Put an entry into one of GraphGym's registries.

    An entry of the same origin (a reloaded module) is replaced. An entry from elsewhere stays, because its owner may
    rely on it; the runner of this package uses its own anyway.

    Args:
        registry: For example ``torch_geometric.graphgym.register.loss_dict``.
        name: Name in configurations.
        entry: Class or function.

    Example:
        >>> registry = {}
        >>> register_once(registry, "l1", len)
        >>> register_once(registry, "l1", len)
        >>> register_once(registry, "l1", print)
        >>> registry["l1"] is len
        True
    """
    present = registry.get(name)
    if present is None or _origin(present) == _origin(entry):
        registry[name] = entry
    else:
        _LOGGER.info("GraphGym already knows %r from %s, which stays", name, _origin(present))


def _origin(entry: Any) -> str:
    target = entry if hasattr(entry, "__qualname__") else type(entry)
    return f"{target.__module__}.{target.__qualname__}"
