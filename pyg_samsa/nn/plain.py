"""Whether a fused kernel may replace a module, and whether calls of a module are observed."""

from __future__ import annotations

from torch import Tensor
from torch.nn import Module, Parameter
from torch.nn.modules import module as _torch_module

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_GLOBAL_HOOKS = tuple(f"_global{name}" for name in _HOOKS)


def is_plain(module: Module, kind: type[Module]) -> bool:
    """Return whether a kernel may read the weights of ``module`` instead of calling it.

    The module must be exactly of the class ``kind``, without hooks, with its original ``forward``, and its weights must
    be ordinary tensors. Parametrizations, LoRA wrappers, quantised layers and subclasses are not plain.

    Args:
        module: The module.
        kind: The class that the kernel was written for.

    Example:
        >>> from torch.nn import Linear
        >>> layer = Linear(2, 2)
        >>> is_plain(layer, Linear)
        True
        >>> handle = layer.register_forward_hook(lambda *_: None)
        >>> is_plain(layer, Linear)
        False

    Cost: O(1), less than a microsecond.
    """
    return (
        type(module) is kind
        and "forward" not in module.__dict__
        and not any(module.__dict__[name] for name in _HOOKS)
        and not any(getattr(_torch_module, name) for name in _GLOBAL_HOOKS)
        and all(_is_plain_tensor(weight) for weight in module._parameters.values())
    )


def has_hooks(module: Module) -> bool:
    """Return whether the module, one inside it, or every module of the process has a hook that a forward pass calls.

    Args:
        module: The module.

    Example:
        >>> from torch.nn import Linear, Sequential
        >>> layers = Sequential(Linear(2, 2))
        >>> has_hooks(layers)
        False
        >>> handle = layers[0].register_forward_hook(lambda *_: None)
        >>> has_hooks(layers)
        True

    Cost: O(1) per module.
    """
    names = ("_forward_hooks", "_forward_pre_hooks")
    return any(getattr(_torch_module, f"_global{name}") for name in names) or any(
        child.__dict__[name] for child in module.modules() for name in names
    )


def _is_plain_tensor(weight: object) -> bool:
    # Under torch.func.functional_call a weight is an ordinary tensor; tensor subclasses have their own arithmetic.
    return weight is None or type(weight) in (Parameter, Tensor)
