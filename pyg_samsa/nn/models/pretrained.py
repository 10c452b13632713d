from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pyg_samsa.errors import ConfigError

Self = TypeVar("Self", bound="Pretrained")


class Pretrained:
    """Mixin of networks that can be written to a folder and read from it: it remembers the arguments that a network was made with.

    Attributes:
        init_arguments: Every argument of the constructor, defaults included.

    Example:
        >>> class Scale(Pretrained):
        ...     def __init__(self, factor, *, shift=0):
        ...         pass
        >>> Scale(3).init_arguments
        {'factor': 3, 'shift': 0}
    """

    init_arguments: dict[str, Any]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in cls.__dict__:
            cls.__init__ = _recording(cls.__init__)  # type: ignore[method-assign]

    def save_pretrained(
        self,
        directory: str | os.PathLike[str],
        *,
        task: Mapping[str, Any] | None = None,
        card: Mapping[str, str] | None = None,
    ) -> Path:
        """Write ``model.safetensors``, ``config.json`` and a model card; see :func:`pyg_samsa.hub.pretrained.save_pretrained`."""
        from pyg_samsa.hub.pretrained import save_pretrained

        return save_pretrained(self, directory, task=task, card=card)  # type: ignore[arg-type]

    @classmethod
    def from_pretrained(cls: type[Self], directory: str | os.PathLike[str]) -> Self:
        """Read what :meth:`save_pretrained` wrote, set to evaluation; see :func:`pyg_samsa.hub.pretrained.load_pretrained`.

        Raises:
            ConfigError: The folder holds a network of another class.
        """
        from pyg_samsa.hub.pretrained import load_pretrained

        model = load_pretrained(directory)[0]
        if not isinstance(model, cls):
            raise ConfigError(str(directory), type(model).__name__, f"a network of the class {cls.__name__}")
        return model


def _recording(init: Any) -> Any:
    """Return a constructor that keeps its arguments; of nested ones the outermost, which is that of the object's own class."""
    signature = inspect.signature(init)

    @functools.wraps(init)
    def recording(self: Any, *args: Any, **kwargs: Any) -> None:
        if "init_arguments" not in self.__dict__:
            try:
                bound = signature.bind(self, *args, **kwargs)
            except TypeError:
                init(self, *args, **kwargs)  # python's own message names the class
                raise
            bound.apply_defaults()
            # Past Module.__setattr__, which wants Module.__init__ to have run.
            object.__setattr__(self, "init_arguments", dict(list(bound.arguments.items())[1:]))
        init(self, *args, **kwargs)

    return recording
