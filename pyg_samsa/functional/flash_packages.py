"""Which packages of FlashAttention are installed, and why one of them cannot be used."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

import torch
from torch import Tensor

from pyg_samsa.typing import Float

FUNCTION = "flash_attn_varlen_func"


@dataclass(frozen=True)
class FlashPackage:
    """A package with the function ``flash_attn_varlen_func``.

    Args:
        module: Name of its module.
        version: Version of FlashAttention.
        major: Major compute capability of the GPUs that it is for, or None for all from 8.0 on.
        missing: Why there is no such package, or None.

    Example:
        >>> FlashPackage("no_such_module", 2, missing="it is not installed").missing
        'it is not installed'
    """

    module: str
    version: int
    major: int | None = None
    missing: str | None = None

    def refuse(self, query: Float[Tensor, "T H C"]) -> str | None:
        """Return why the package cannot run on the GPU of a tensor, or None.

        Args:
            query: A tensor on a CUDA device.

        Example:
            >>> FlashPackage("flash_attn", 2).refuse(torch.zeros(3, 2, 8)) is None
            True
        """
        if self.major is None or torch.cuda.get_device_capability(query.device)[0] == self.major:
            return None
        return f"FlashAttention {self.version} needs a GPU of compute capability {self.major}.x: install flash-attn"

    @property
    def broken(self) -> str | None:
        """Why the function cannot be imported, or None; the answer is kept."""
        return _broken(self.module)


@torch.compiler.assume_constant_result
def _broken(module: str) -> str | None:
    if module not in _VERDICTS:
        try:
            found = hasattr(import_module(module), FUNCTION)
            _VERDICTS[module] = None if found else f"{module} has no {FUNCTION}: install flash-attn 2.6 or newer"
        except Exception as error:  # a library built for another torch raises all kinds of errors
            what = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
            _VERDICTS[module] = (
                f"{module} cannot be imported ({what}): install a version built for torch {torch.__version__}"
            )
    return _VERDICTS[module]


_VERDICTS: dict[str, str | None] = {}


def why_missing(module: str, name: str, cure: str) -> str | None:
    """Return why there is no such package, or None.

    A folder without code of its own is none: FlashAttention 4 installs itself as ``flash_attn.cute`` below a folder
    ``flash_attn`` that has no ``flash_attn_varlen_func``.

    Args:
        module: Name of the module.
        name: Name of the package, for the reason.
        cure: How to install it.

    Example:
        >>> why_missing("no_such_module", "flash-attn", "pip install flash-attn")
        'the package flash-attn is not installed: pip install flash-attn'
    """
    try:
        spec = find_spec(module)
    except ValueError:  # a module without a file, which a program has made itself
        return None
    if spec is None:
        return f"the package {name} is not installed: {cure}"
    if spec.origin is None:
        return f"the folder {module} holds no {name} (FlashAttention 4 has another interface): {cure}"
    return None


# Searching the import path takes longer than a small block, so it is done once.
FLASH_2 = FlashPackage(
    "flash_attn", 2, missing=why_missing("flash_attn", "flash-attn", "pip install 'pyg-samsa[flash]'")
)
"""FlashAttention 2: the package ``flash-attn``."""
FLASH_3 = FlashPackage(
    "flash_attn_interface",
    3,
    major=9,
    missing=why_missing("flash_attn_interface", "flash_attn_interface", "build FlashAttention 3 from source"),
)
"""FlashAttention 3, for Hopper GPUs: the module ``flash_attn_interface``."""
