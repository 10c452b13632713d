from __future__ import annotations

from torch.nn import Module


def num_parameters(module: Module, *, trainable: bool = True) -> int:
    """Return the number of weights of a module.

    Args:
        module: Any module.
        trainable: Whether to count only weights that are trained.

    Example:
        >>> from torch.nn import Linear
        >>> num_parameters(Linear(2, 3))
        9
    """
    return sum(weight.numel() for weight in module.parameters() if weight.requires_grad or not trainable)
