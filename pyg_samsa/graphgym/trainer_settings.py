"""Options of the trainer from GraphGym's configuration."""

from __future__ import annotations

from torch_geometric.graphgym.config import cfg

from pyg_samsa.graphgym.settings import values_for
from pyg_samsa.options import plain
from pyg_samsa.training.trainer import TrainerOptions


def trainer_options() -> TrainerOptions:
    """Return the options of the trainer that the present ``cfg`` holds."""
    values = values_for(TrainerOptions, cfg)
    values["clip_norm"] = plain(cfg.optim.clip_grad_norm_value) if cfg.optim.clip_grad_norm else None
    if cfg.train.ckpt_clean:
        values["archive_every"] = None
    return TrainerOptions(**values)
