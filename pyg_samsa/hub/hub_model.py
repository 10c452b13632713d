"""Sharing models on the Hugging Face Hub."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import PyTorchModelHubMixin, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from torch import nn

from pyg_samsa.errors import DataNotFoundError
from pyg_samsa.hub.folder import FILES, find_pretrained
from pyg_samsa.hub.load import load_pretrained
from pyg_samsa.hub.save import save_pretrained
from pyg_samsa.nn import SAMSA
from pyg_samsa.task import Task

_DESCRIBED = ("task", "metrics", "card", "descriptors", "extra_columns", "standardize")


class HubModel(nn.Module, PyTorchModelHubMixin, library_name="pyg-samsa"):
    """A network with everything that is saved beside it, which can be shared on the Hugging Face Hub.

    ``push_to_hub("user/model")`` uploads the folder that `save_pretrained` writes. ``from_pretrained("user/model")``
    reads it from the local cache, or downloads it with ``local_files_only=False``. Only JSON and safetensors are read,
    no code.

    Args:
        network: A network that was built with `SAMSA.from_options`.
        task: What the outputs mean.
        metrics: Split -> name -> value, shown in the model card.
        card: Headline -> text (Markdown) of more sections of the model card.
        descriptors: Names of the descriptors that the network reads, see `save_pretrained`.
        extra_columns: Names of the columns of numbers that follow them.
        standardize: Steps by which molecules are standardised before.

    Example:
        >>> model = HubModel.from_pretrained("peptides")  # comes with the package
        >>> model.task.names
        ('antimicrobial', 'anticancer', 'transmembrane')
    """

    def __init__(
        self,
        network: SAMSA,
        task: Task | None = None,
        *,
        metrics: Mapping[str, Any] | None = None,
        card: Mapping[str, str] | None = None,
        descriptors: Sequence[str] = (),
        extra_columns: Sequence[str] = (),
        standardize: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.network, self.task = network, task
        self.metrics, self.card = dict(metrics or {}), dict(card or {})
        self.descriptors, self.extra_columns = tuple(descriptors), tuple(extra_columns)
        self.standardize = tuple(standardize)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the network."""
        return self.network(*args, **kwargs)

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls, pretrained_model_name_or_path: str | os.PathLike[str], *, local_files_only: bool = True, **options: Any
    ) -> HubModel:
        """Read a model from a folder, from the package, or from the Hub.

        Args:
            pretrained_model_name_or_path: Folder, name of a model that comes with the package, or ``"user/model"``.
            local_files_only: Whether to read only files on this machine. False allows downloads.
            **options: ``revision``, ``token``, ``cache_dir`` and ``force_download`` of huggingface_hub.

        Raises:
            DataNotFoundError: There is no such model, or it is not on this machine.
        """
        name = str(pretrained_model_name_or_path)
        try:
            name = str(find_pretrained(name))
        except DataNotFoundError as error:
            if name.count("/") != 1 or name.startswith((".", "~", "/")) or Path(name).is_dir():
                raise error
        return cls._from_pretrained(model_id=name, local_files_only=local_files_only, **options)

    @classmethod
    def _from_pretrained(cls, *, model_id: str, **options: Any) -> HubModel:  # type: ignore[override]
        known = ("revision", "token", "cache_dir", "force_download", "local_files_only")
        folder = (
            model_id if Path(model_id).is_dir() else _download(model_id, {k: options[k] for k in known if k in options})
        )
        network, config = load_pretrained(folder)
        return cls(network, **{name: getattr(config, name) for name in _DESCRIBED})

    def _save_pretrained(self, save_directory: Path) -> None:
        save_pretrained(self.network, save_directory, **{name: getattr(self, name) for name in _DESCRIBED})


def _download(repo: str, options: Mapping[str, Any]) -> str:
    try:
        return snapshot_download(repo, allow_patterns=list(FILES), **options)
    except LocalEntryNotFoundError as error:
        if options.get("local_files_only"):
            hint = "Pass local_files_only=False to download it."
            raise DataNotFoundError(f"{repo}: not in the local cache of the Hugging Face Hub", hint=hint) from error
        raise DataNotFoundError(f"{repo}: cannot be downloaded", hint="Check the network and the name.") from error
    except (HfHubHTTPError, HFValidationError) as error:
        reason = str(error).splitlines()[0][:160]
        raise DataNotFoundError(
            f"{repo}: cannot be downloaded: {reason}", hint="Check the name and your access."
        ) from error
