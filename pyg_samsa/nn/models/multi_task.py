from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn import Module, ModuleDict, Parameter

from pyg_samsa.errors import ConfigError
from pyg_samsa.nn.encoder import Encoder
from pyg_samsa.nn.encoding.masked_encoder import MaskedEncoder
from pyg_samsa.nn.models.samsa import SAMSA
from pyg_samsa.typing import Float

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_TAKEN = frozenset(dir(ModuleDict()))


class MultiTask(Module):
    r"""One encoder for several tasks on data of any modality; each task has a tokenizer and a readout of its own.

    .. math::
        \hat y^{(t)} = \mathrm{Readout}_t\bigl(\mathrm{Encoder}(\mathrm{Tokenizer}_t(x) + m_{\mu(t)})\bigr)

    :math:`\mu(t)` is the modality of task t. If the networks were made with ``modality_vector=True``, a learned vector
    m of the modality is added to all tokens, so that the encoder can tell molecules, clouds and sequences apart.

    Every task is an ordinary `SAMSA` network in ``networks``, whose encoder is that of all others. It can be used,
    saved and exported as if it had been trained alone.

    Args:
        networks: Name of each task -> its network. The networks stay as they are: this module takes the tokenizers and
            readouts, and the encoder of the first network. All encoders must have the same structure.
        modalities: Name of a task -> name of its modality; by default, each task has its own.
        share_tokenizers: Whether tasks of one modality have the same tokenizer, that of the first of them. Of a task
            with hidden features (`MaskedEncoder`), the vectors that stand for them are its own.

    Shapes:
        - **input:** name of a task, and the inputs of its network, see `SAMSA`
        - **output:** those of its network

    Raises:
        ConfigError: There are no networks, a name is not allowed, or encoders or shared tokenizers differ.

    Example:
        >>> import torch
        >>> size = {"channels": 16, "num_layers": 2, "heads": 4, "num_samples": 8, "modality_vector": True}
        >>> molecules = SAMSA.from_options(5, 2, edge_channels=3, **size)
        >>> points = SAMSA.from_options(6, 4, level="node", bridge=False, **size)
        >>> model = MultiTask({"toxic": molecules, "parts": points})
        >>> model("parts", torch.randn(10, 6)).shape
        torch.Size([10, 4])
        >>> model.networks["toxic"].encoder is model.networks["parts"].encoder
        True

    Cost: That of the network of the task.
    """

    def __init__(
        self,
        networks: Mapping[str, SAMSA],
        *,
        modalities: Mapping[str, str] | None = None,
        share_tokenizers: bool = False,
    ) -> None:
        super().__init__()
        if not networks:
            raise ConfigError("networks", dict(networks), "at least one network")
        modalities = {name: (modalities or {}).get(name, name) for name in networks}
        first, leader = next(iter(networks.items()))
        vectors: dict[str, Parameter | None] = {}
        tokenizers: dict[str, tuple[str, Module]] = {}
        self.modalities = modalities
        """Name of each task -> name of its modality."""
        self.networks = ModuleDict()
        """Name of each task -> its network, with the shared encoder."""
        for name, network in networks.items():
            check_task_name("task", name)
            _must_agree(f"the encoder of {name}", network.encoder, f"that of {first}", leader.encoder)
            vector = vectors.setdefault(modalities[name], network.modality)
            tokenizer = network.tokenizer
            if share_tokenizers:
                owner, tokenizer = tokenizers.setdefault(modalities[name], (name, tokenizer))
                tokenizer = _shared(f"the tokenizer of {name}", network.tokenizer, f"that of {owner}", tokenizer)
            self.networks[name] = _joined(network, tokenizer, leader.encoder, vector)

    @property
    def encoder(self) -> Encoder:
        """The shared encoder.

        Example:
            >>> network = SAMSA.from_options(5, 2, channels=16, num_layers=2)
            >>> MultiTask({"toxic": network}).encoder is network.encoder
            True
        """
        return next(iter(self.networks.values())).encoder  # type: ignore[return-value]

    def reset_parameters(self) -> None:
        """Draw new weights for all tasks."""
        for network in self.networks.values():
            network.reset_parameters()  # type: ignore[operator]

    def forward(self, task: str, *args: Any, **kwargs: Any) -> Float[Tensor, "rows out"]:
        r"""Return the predictions :math:`\hat y^{(t)}` for a task t.

        Args:
            task: Name of the task.
            *args: As in `SAMSA.forward`.
            **kwargs: As in `SAMSA.forward`.

        Raises:
            ConfigError: There is no such task.

        Example:
            >>> import torch
            >>> model = MultiTask({"toxic": SAMSA.from_options(5, 2, channels=16, num_layers=2)})
            >>> model("toxic", torch.randn(4, 5), batch=torch.tensor([0, 0, 0, 1])).shape
            torch.Size([2, 2])
        """
        if task not in self.networks:
            raise ConfigError("task", task, list(self.networks))
        return self.networks[task](*args, **kwargs)

    def extra_repr(self) -> str:
        """Return the modalities as they appear in the ``repr``.

        Example:
            >>> MultiTask({"toxic": SAMSA.from_options(5, 2, channels=16, num_layers=2)}).extra_repr()
            "modalities={'toxic': 'toxic'}"
        """
        return f"modalities={self.modalities}"


def check_task_name(key: str, name: object) -> None:
    """Raise a `ConfigError` if a name cannot be that of a module in a ``ModuleDict``.

    Args:
        key: What the name is called in the error.
        name: The name.

    Example:
        >>> check_task_name("task", "shapes")
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _TAKEN:
        raise ConfigError(key, name, "a name of letters, digits, - and _ that no method of ModuleDict has")


def _joined(network: SAMSA, tokenizer: Module, encoder: Encoder, vector: Parameter | None) -> SAMSA:
    """Return a network of parts of others, which is saved by the options of the first."""
    joined = SAMSA(tokenizer, encoder, network.readout, num_eval_samples=network.num_eval_samples, modality=vector)
    joined.options = network.options
    return joined.train(network.training)


def _shared(what: str, module: Module, other: str, owner: Module) -> Module:
    """Return a tokenizer with the weights of another one; only the vectors of hidden features stay its own."""
    if module is owner:
        return owner
    own, theirs = _unmasked(module), _unmasked(owner)
    _must_agree(what, own, other, theirs)
    if own is module:
        return theirs
    shared = copy.copy(theirs)
    shared._modules = dict(theirs._modules)
    for name, child in module._modules.items():
        if isinstance(child, MaskedEncoder):
            masked = copy.copy(child)
            masked._modules = {"encoder": theirs._modules[name]}
            shared._modules[name] = masked
    return shared


def _unmasked(tokenizer: Module) -> Module:
    """Return a tokenizer that encodes its features without masks; the same one if it has none."""
    masked = {name: child for name, child in tokenizer._modules.items() if isinstance(child, MaskedEncoder)}
    if not masked:
        return tokenizer
    plain = copy.copy(tokenizer)
    plain._modules = {**tokenizer._modules, **{name: child.encoder for name, child in masked.items()}}
    return plain


def _must_agree(what: str, module: Module, other: str, expected: Module) -> None:
    """Raise a `ConfigError` unless two modules have the same structure: parts, options and shapes of weights."""
    if module is expected:
        return
    there, here = _structure(expected), _structure(module)
    for name in [*there, *(name for name in here if name not in there)]:
        if there.get(name) != here.get(name):
            hint = "Tasks that share weights need the same settings of these: set them once, for all tasks."
            raise ConfigError(f"{what}: {name}", here.get(name), f"{there.get(name)}, as {other} has", hint=hint)


def _structure(module: Module) -> dict[str, Any]:
    """Return what two modules with the same function have in common, by name."""
    found: dict[str, Any] = {}
    for prefix, part in module.named_modules():
        found[f"{prefix or 'class'}"] = type(part).__name__
        plain = {key: value for key, value in vars(part).items() if isinstance(value, (bool, int, float, str, tuple))}
        for key, value in plain.items():
            if not key.startswith("_") and key not in ("training", "name"):
                found[f"{prefix}.{key}".lstrip(".")] = value
        found |= {
            f"{prefix}.{key}".lstrip("."): list(weight.shape) for key, weight in part.named_parameters(recurse=False)
        }
    return found
