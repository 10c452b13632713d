"""A device without float64, like Apple's GPUs: it computes on the CPU and refuses every float64 result.

The tensors say that they are on the device ``lazy``, which PyTorch knows everywhere and uses nowhere here. Operations
that mix it with the CPU are errors, as on other devices.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("lazy")


class OnDevice(torch.Tensor):
    """A tensor on the device."""

    @staticmethod
    def __new__(cls, inner):
        if inner.dtype == torch.float64:
            raise TypeError("Cannot convert a tensor to float64: the device does not support it")
        layout = {"strides": inner.stride(), "storage_offset": inner.storage_offset(), "dtype": inner.dtype}
        return torch.Tensor._make_wrapper_subclass(cls, inner.shape, device=DEVICE, **layout)

    def __init__(self, inner):
        self.inner = inner

    def tolist(self):
        return self.inner.tolist()

    def __repr__(self):
        return f"OnDevice({self.inner})"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return compute(func, args, kwargs)


class Float32Device(TorchDispatchMode):
    """Within it, tensors that are made on the device, or moved to it, are its own."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return compute(func, args, kwargs)

    def __enter__(self):
        # Otherwise torch.tensor makes its result without asking this mode.
        torch._C._set_only_lift_cpu_tensors(True)
        return super().__enter__()

    def __exit__(self, *error):
        torch._C._set_only_lift_cpu_tensors(False)
        return super().__exit__(*error)


def compute(func, args, kwargs):
    kwargs = dict(kwargs or {})
    leaves = tree_leaves((args, kwargs))
    given = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
    here = any(isinstance(tensor, OnDevice) for tensor in given)
    if asked := [leaf for leaf in leaves if isinstance(leaf, torch.device)]:
        here = asked[0].type == DEVICE.type
    elif here and func is not torch.ops.aten.copy_.default:
        foreign = [tensor for tensor in given if not isinstance(tensor, OnDevice) and tensor.dim()]
        if foreign:
            raise RuntimeError(f"{func}: expected all tensors to be on the same device")
    known = {id(inner_of(tensor)): tensor for tensor in given}

    def wrap(result):
        if not isinstance(result, torch.Tensor):
            return result
        same = known.get(id(result))
        if same is not None and isinstance(same, OnDevice) == here:  # in place
            return same
        return OnDevice(result) if here else result

    return tree_map(wrap, func(*tree_map(inner_of, args), **tree_map(inner_of, kwargs)))


def inner_of(value):
    if isinstance(value, torch.device):
        return torch.device("cpu")
    return value.inner if isinstance(value, OnDevice) else value
