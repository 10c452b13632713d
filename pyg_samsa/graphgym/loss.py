"""Losses under GraphGym's names.

GraphGym calls all registered losses in turn, so each returns None unless ``model.loss_fun`` names it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg

from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.masked_network import masked_columns
from pyg_samsa.graphgym.register import register_once
from pyg_samsa.graphgym.settings import values_for
from pyg_samsa.task import MASKED, WORDS
from pyg_samsa.training import losses
from pyg_samsa.training.masked import MaskedLoss

BOUNDED = "bounded_"
_PREFIX = "samsa_"
# Values of model.loss_fun in GraphGPS and its relatives -> names in pyg_samsa.training.losses.
# Every loss honours bounds of the targets, so bounded_mse is mse; loader.py reads bounds where its name is given.
ALIASES = {"smoothl1": "smooth_l1", "smoothL1": "smooth_l1", "mae": "l1"}
ALIASES |= {f"{BOUNDED}mse": "mse", f"{BOUNDED}l1": "l1", f"{BOUNDED}smooth_l1": "smooth_l1"}
_CROSS_ENTROPY = {"binary": "bce", "multilabel": "bce", WORDS: "word_cross_entropy"}
Loss = Callable[[Tensor, Tensor], Tensor]
_OWN_LOOP = "Train with pyg-samsa train, or with python -m graphgym of this package: their losses see the bounds."


def choose_loss(task: str, *, given: bool) -> Loss:
    """Return the loss of ``model.loss_fun`` for a task, with its options of ``cfg.model``.

    A name with ``bounded_``, such as ``bounded_mse``, also has bounds such as ``>10`` read from a CSV table, see
    `pyg_samsa.training.losses.clip_to_bounds`. ``cross_entropy`` means the binary one for binary and multi-label
    tasks, as everywhere in GraphGym, and that of each word for sequences of words. A loss that other code registered
    with GraphGym is used under its registered name.

    Args:
        task: Kind of the task, one of `pyg_samsa.task.KINDS`.
        given: Whether the user has set ``model.loss_fun``; otherwise the task decides.

    Raises:
        ConfigError: There is no such loss, or it does not fit the task.

    Example:
        >>> choose_loss("regression", given=False)(torch.zeros(2, 1), torch.ones(2, 1))
        tensor(1.)
    """
    check_loss()
    if task == MASKED:
        of_nodes, of_edges = masked_columns(cfg.share.in_channels, cfg.share.edge_channels)
        return MaskedLoss([*of_nodes, *of_edges])
    fitting = losses.fitting(task)
    asked = cfg.model.loss_fun
    name = _known_name(asked, task) if given else fitting[0]
    if name not in losses.available():
        return _foreign(register.loss_dict[asked], asked)
    if name not in fitting:
        raise ConfigError("model.loss_fun", asked, f"a loss for {task} targets: {', '.join(fitting)}")
    return _build(name)


def fits_task(task: str) -> bool:
    """Say whether ``model.loss_fun`` fits a task; a loss of other code fits every task.

    Args:
        task: Kind of the task.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> cfg.model.loss_fun, fits_task("binary"), fits_task("regression")
        ('cross_entropy', True, False)
    """
    name = _known_name(cfg.model.loss_fun, task)
    return task == MASKED or name in losses.fitting(task) or name not in losses.available()


def _known_name(asked: str, task: str) -> str:
    name = ALIASES.get(asked, asked)
    return _CROSS_ENTROPY.get(task, name) if name == "cross_entropy" else name


def check_loss() -> None:
    """Raise a `ConfigError` if there is no loss of the name ``model.loss_fun``.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> cfg.model.loss_fun = "msse"
        >>> check_loss()
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: model.loss_fun: got 'msse', expected one of ...
        >>> set_cfg(cfg)
    """
    asked = cfg.model.loss_fun
    if ALIASES.get(asked, asked) not in losses.available() and asked not in register.loss_dict:
        # GraphGym's own runner knows the losses of this package under names of their own.
        others = (name for name in register.loss_dict if not name.startswith(_PREFIX))
        raise ConfigError("model.loss_fun", asked, sorted({*losses.available(), *ALIASES, *others}))


def _build(name: str) -> Loss:
    return losses.build(name, **values_for(losses.LOSSES[name], cfg))


def _foreign(registered: Callable, name: str) -> Loss:
    def loss(pred: Tensor, target: Tensor) -> Tensor:
        value = registered(pred, target)
        if value is None:
            raise ConfigError("model.loss_fun", name, "a loss that acts on this task")
        return value[0]

    return loss


def refuse_bounds(key: str, value: Any) -> NoReturn:
    """Raise the error about bounds of targets in GraphGym's own training loop.

    Args:
        key: Setting that asks for bounds.
        value: Its value.

    Raises:
        ConfigError: Always.

    Example:
        >>> refuse_bounds("model.loss_fun", "bounded_mse")
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: model.loss_fun: got 'bounded_mse', expected no bounds in GraphGym's own ...
    """
    expected = "no bounds in GraphGym's own training loop, whose losses see only predictions and targets"
    raise ConfigError(key, value, expected, hint=_OWN_LOOP)


def bounded_loss(pred: Tensor, target: Tensor) -> None:
    """Refuse ``bounded_mse`` and its relatives in GraphGym's ``compute_loss``; GraphGym calls it like a loss.

    Raises:
        ConfigError: ``model.loss_fun`` names a loss with bounds.

    Example:
        >>> bounded_loss(torch.zeros(1), torch.zeros(1)) is None
        True
    """
    if cfg.model.loss_fun in ALIASES and cfg.model.loss_fun.startswith(BOUNDED):
        refuse_bounds("model.loss_fun", cfg.model.loss_fun)


register_once(register.loss_dict, f"{_PREFIX}bounded", bounded_loss)


def _gated(asked: tuple[str, ...], name: str, score: Callable[[Tensor], Tensor] | None) -> Callable:
    def registered(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor] | None:
        if cfg.model.loss_fun not in asked and not (name == "bce" and _is_multilabel()):
            return None
        return _build(name)(pred, target), pred if score is None else score(pred)

    registered.__qualname__ = f"{name}_loss"
    return registered


def _is_multilabel() -> bool:
    return cfg.model.loss_fun == "cross_entropy" and cfg.dataset.task_type == "classification_multilabel"


def _class_score(pred: Tensor) -> Tensor:
    return pred.log_softmax(-1) if pred.ndim > 1 else pred.sigmoid()


_SCORES: dict[str, Callable[[Tensor], Tensor] | None] = {"bce": torch.sigmoid, "weighted_cross_entropy": _class_score}
# GraphGym has these itself.
_OWN = ("cross_entropy", "mse")
for _name in (name for name in losses.available() if name not in _OWN):
    _asked = (_name, *(alias for alias, meant in ALIASES.items() if meant == _name and not alias.startswith(BOUNDED)))
    register_once(register.loss_dict, f"{_PREFIX}{_name}", _gated(_asked, _name, _SCORES.get(_name)))
