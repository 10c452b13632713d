"""The REST interface: the server, its models, and predictions.

Imported only by `pyg_samsa.web.app`, after `pyg_samsa.web.server` has found FastAPI.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, File, Form, HTTPException, Request, UploadFile

from pyg_samsa._version import __version__
from pyg_samsa.errors import ConfigError
from pyg_samsa.predict.interface import set_texts
from pyg_samsa.web.jobs import Job, Jobs
from pyg_samsa.web.limits import Limits
from pyg_samsa.web.pictures import Explainer
from pyg_samsa.web.predicted_table import Asked
from pyg_samsa.web.schemas import (
    Confidence,
    Info,
    JobInfo,
    NeighborInfo,
    Prediction,
    PredictRequest,
    Problem,
    TextRequest,
)
from pyg_samsa.web.served_models import ServedModel
from pyg_samsa.web.uploads import save_file, save_text

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text}
    for status, text in {
        400: "The name of the host is not that of the server, or the body cannot be read.",
        403: "The request comes from another site.",
        404: "There is no such table, row or model.",
        413: "The request is too large.",
        422: "The request cannot be understood, or the molecules cannot be read.",
        429: "Too many tables are being predicted.",
    }.items()
}
router = APIRouter(prefix="/api", responses=PROBLEMS)
_SHOWN = 80


class HintedError(HTTPException):
    """An answer with an error of one line and a hint.

    Args:
        error: One line that names the culprit.
        hint: What helps.
    """

    status: int

    def __init__(self, error: str, hint: str) -> None:
        super().__init__(self.status, error)
        self.hint = hint


class NotThereError(HintedError):
    """A table, or a row of one, is not there.

    Example:
        >>> NotThereError("there is no row 7", "Ask again later.").hint
        'Ask again later.'
    """

    status = 404


class NotFinishedError(HintedError):
    """A table is still being predicted.

    Example:
        >>> NotFinishedError("2 rows are finished", "Ask again later.").status_code
        409
    """

    status = 409


@dataclass
class Site:
    """What the requests of a server share: models, limits, jobs and pictures."""

    models: list[ServedModel]
    limits: Limits
    jobs: Jobs
    explainer: Explainer

    def chosen(self, names: Sequence[str]) -> list[ServedModel]:
        """Return the models of some names, in the order of the server; all for none.

        Args:
            names: Names of models.

        Raises:
            ConfigError: There is no such model.

        Example:
            >>> from pathlib import Path
            >>> from pyg_samsa.web.served_models import load_models
            >>> model, = load_models(["peptides"], Path("unused"))
            >>> site = Site([model], Limits(), Jobs(Limits()), Explainer(Limits()))
            >>> [model.name for model in site.chosen([])]
            ['peptides']
            >>> site.jobs.close()
        """
        known = [model.name for model in self.models]
        for name in names:
            if name not in known:
                raise ConfigError("models", name, known)
        return [model for model in self.models if not names or model.name in names]

    def job(self, name: str) -> Job:
        """Return a job.

        Args:
            name: Its id.

        Raises:
            NotThereError: There is none.

        Example:
            >>> site = Site([], Limits(), Jobs(Limits()), Explainer(Limits()))
            >>> site.jobs.close()
            >>> site.job("unknown")
            Traceback (most recent call last):
            pyg_samsa.web.routes.NotThereError: 404: there is no such table; it may have been deleted
        """
        job = self.jobs.get(name)
        if job is None:
            raise NotThereError("there is no such table; it may have been deleted", "GET /api/jobs lists the tables.")
        return job


def _get_site(request: Request) -> Site:
    """Return what the requests share."""
    return request.app.state.site


Shared = Annotated[Site, Depends(_get_site)]


@router.get("/info")
def info(site: Shared) -> Info:
    """Return the models of the server, and what it accepts."""
    return Info.of(__version__, site.models, site.limits)


@router.post("/predict")
def predict(asked: PredictRequest, site: Shared) -> list[Prediction]:
    """Predict a few molecules at once, with every model; what is no molecule gets an error of its own."""
    return [found for model in site.chosen(asked.models) for found in _predict(model, asked, site.limits)]


def _predict(model: ServedModel, asked: PredictRequest, limits: Limits) -> list[Prediction]:
    predictor = model.predictor
    extra = {
        name: [float("nan") if value is None else value for value in column]
        for name, column in asked.extra_columns.items()
        if name in predictor.extra_columns
    }
    interval, note = model.possible_interval(asked.interval)
    refused = [_why_refused(text, limits.max_smiles) for text in asked.smiles]
    given = ["" if why or text is None else text for text, why in zip(asked.smiles, refused, strict=True)]
    with model.lock:
        found = predictor.predict(given, extra_columns=extra, interval=interval, max_atoms=limits.max_atoms)
    names, after = predictor.target_names, {change.position: change.after for change in found.changes}
    sets = set_texts(predictor.task, found) if found.sets is not None else None

    def named(values: np.ndarray | None, place: int) -> dict[str, float] | None:
        if values is None:
            return None
        return {name: value for name, value in zip(names, values[place].tolist(), strict=True) if np.isfinite(value)}

    nearest = model.training.nearest if model.training is not None and asked.neighbors else None
    return [
        Prediction(
            model=model.name,
            smiles=_shortened(smiles, limits.max_smiles),
            values=named(found.values, place) or {},
            low=named(found.low, place),
            high=named(found.high, place),
            sets=None if sets is None else {name: texts[place] for name, texts in sets.items() if texts[place]},
            standardized=after.get(place, ""),
            error=refused[place] or found.errors[place],
            note=note,
            neighbors=(
                [NeighborInfo(**one._asdict()) for one in nearest(given[place], asked.neighbors)]
                if nearest and not refused[place]
                else []
            ),
        )
        for place, smiles in enumerate(asked.smiles)
    ]


def _why_refused(smiles: str | None, longest: int) -> str:
    """Return why a SMILES is not read; empty if it is."""
    if smiles is None:
        return "no SMILES (null)"
    return f"{len(smiles):,} characters, more than {longest:,}" if len(smiles) > longest else ""


def _shortened(smiles: str | None, longest: int) -> str | None:
    """Return a SMILES for the answer, which repeats no text that is too long."""
    return smiles if smiles is None or len(smiles) <= longest else f"{smiles[:_SHOWN]}..."


@router.get("/jobs")
def list_jobs(site: Shared) -> list[JobInfo]:
    """Return all tables, oldest first."""
    return list(map(JobInfo.of, site.jobs.all()))


@router.post("/jobs", status_code=201)
def start_text(asked: TextRequest, site: Shared) -> JobInfo:
    """Begin to predict pasted molecules."""
    models = site.chosen(asked.models)
    needed = dict.fromkeys(name for model in models for name in model.predictor.extra_columns)
    extra = {name: value for name, value in asked.extra_columns.items() if name in needed}
    job = site.jobs.start(
        models,
        lambda folder: save_text(asked.text, folder, site.limits, extra),
        Asked(asked.interval, "1", asked.neighbors),
    )
    return JobInfo.of(job)


@router.post("/jobs/file", status_code=201)
def start_file(
    site: Shared,
    file: Annotated[UploadFile, File(description="CSV, Excel (.xlsx), SDF, MOL, SMI or Parquet; the name says which.")],
    models: Annotated[list[str], Form(description="Names of models; none for all.")] = [],  # noqa: B006
    interval: Annotated[Confidence | None, Form()] = None,
    smiles_column: Annotated[str, Form(description="Name or number of the column of SMILES; empty finds it.")] = "",
    neighbors: Annotated[bool, Form(description="Whether the nearest training molecules are searched.")] = True,
) -> JobInfo:
    """Begin to predict a file."""
    job = site.jobs.start(
        site.chosen(models),
        lambda folder: save_file(file.file, file.filename or "", folder, site.limits),
        Asked(interval, smiles_column, neighbors),
    )
    return JobInfo.of(job)


@router.get("/jobs/{job}")
def get_job(job: str, site: Shared) -> JobInfo:
    """Return the progress of a table."""
    return JobInfo.of(site.job(job))


@router.post("/jobs/{job}/cancel")
def cancel_job(job: str, site: Shared) -> JobInfo:
    """Stop the prediction of a table after the next rows; those that are finished are kept."""
    found = site.job(job)
    found.cancelled.set()
    return JobInfo.of(found)


@router.delete("/jobs/{job}", status_code=204)
def delete_job(job: str, site: Shared) -> None:
    """Stop the prediction of a table and delete its rows."""
    site.job(job)
    site.jobs.remove(job)
