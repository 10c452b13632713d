"""Files of tensors, written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from pyg_samsa.io.files import atomic_link, atomic_write


def write_tensors(content: Any, path: str | os.PathLike[str], links: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Write tensors and plain values with ``torch.save``, atomically.

    Args:
        content: What to write.
        path: File to write; an existing one is replaced.
        links: Further names of the same file. They are replaced first, so that ``path`` is never newer than they are.

    Raises:
        OSError: The file could not be written, for example because the disk is full.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "data.pt"
        >>> write_tensors({"x": torch.ones(2)}, path)
        >>> torch.load(path, weights_only=True)
        {'x': tensor([1., 1.])}
    """
    with atomic_write(path) as temporary:
        try:
            # torch.save hides the error of the system if it opens the file itself.
            with open(temporary, "wb") as file:
                torch.save(content, file)
        except (RuntimeError, OSError) as error:
            cause = error if isinstance(error, OSError) else error.__context__
            if isinstance(cause, OSError) and cause.errno is not None:
                raise OSError(cause.errno, os.strerror(cause.errno), str(Path(path))) from error
            raise
        for link in links:
            atomic_link(temporary, link)
