"""Saved models: write, read, describe and share them."""

from typing import TYPE_CHECKING, Any

from pyg_samsa.hub.folder import find_pretrained, shipped
from pyg_samsa.hub.load import load_pretrained
from pyg_samsa.hub.model_config import ModelConfig
from pyg_samsa.hub.save import save_pretrained

if TYPE_CHECKING:
    from pyg_samsa.hub.hub_model import HubModel

__all__ = ["HubModel", "ModelConfig", "find_pretrained", "load_pretrained", "save_pretrained", "shipped"]


def __getattr__(name: str) -> Any:
    # huggingface_hub takes half a second to import, and predictions do not need it.
    if name == "HubModel":
        from pyg_samsa.hub.hub_model import HubModel

        return HubModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
