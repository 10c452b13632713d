"""The REST interface: rows of tables, downloads and pictures.

Imported only by `pyg_samsa.web.app`, after `pyg_samsa.web.server` has found FastAPI.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.responses import StreamingResponse

from pyg_samsa.chem.ogb_features import parse_smiles, why_too_large
from pyg_samsa.errors import DataError, SmilesError
from pyg_samsa.viz.molecules.structure import structure_svg
from pyg_samsa.web import result_table
from pyg_samsa.web.downloads import download
from pyg_samsa.web.pictures import why_not_drawn
from pyg_samsa.web.result_table import ResultRow
from pyg_samsa.web.routes import PROBLEMS, NotFinishedError, NotThereError, Shared, Site
from pyg_samsa.web.schemas import LONGEST, ExplanationInfo, MethodInfo, NeighborInfo, Problem, RowInfo, RowPage
from pyg_samsa.web.served_models import ServedModel

MOST_ROWS = 500
_LARGEST = 2**53
router = APIRouter(prefix="/api", responses=PROBLEMS)
Number = Annotated[int, Path(ge=1, le=_LARGEST)]
Theme = Literal["light", "dark"]
_KEPT = {"cache-control": "private, max-age=3600"}
_TABLES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "sdf": "chemical/x-mdl-sdfile",
}
_MEDIA = {**_TABLES, "svg": "image/svg+xml", "png": "image/png"}


def _get_query(
    search: Annotated[str, Query(max_length=1000)] = "",
    show: Annotated[
        Literal["all", "predicted", "failed", "repeated"],
        Query(description="All rows, those with or without a prediction, or those of molecules in several rows."),
    ] = "all",
    sort: Annotated[str, Query(description="Key of a column, or row, name, smiles or error.")] = "row",
    descending: bool = False,
    column: Annotated[str, Query(description="Key of a column of numbers that low and high bound.")] = "",
    low: Annotated[float | None, Query(allow_inf_nan=False)] = None,
    high: Annotated[float | None, Query(allow_inf_nan=False)] = None,
) -> result_table.Query:
    """Return what of a table is shown, and in which order."""
    return result_table.Query(search, show, sort, descending, column, low, high)


Asked = Annotated[result_table.Query, Depends(_get_query)]


@router.get("/jobs/{job}/rows")
def rows(
    job: str,
    site: Shared,
    query: Asked,
    offset: Annotated[int, Query(ge=0, le=_LARGEST)] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 50,
) -> RowPage:
    """Return some of the finished rows of a table."""
    table = site.job(job).results
    found = table.page(query, offset, limit)
    return RowPage(count=table.count(query), rows=list(map(RowInfo.of, found)))


@router.get(
    "/jobs/{job}/download",
    response_class=StreamingResponse,
    responses={
        200: {"description": "The file.", "content": {kind.partition(";")[0]: {} for kind in _TABLES.values()}},
        409: {"description": "The table is still being predicted.", "model": Problem},
    },
)
def download_rows(
    job: str, site: Shared, query: Asked, format: Literal["csv", "xlsx", "sdf"] = "csv"
) -> StreamingResponse:
    """Return the rows that a query shows as a file, with all columns of the table, which has ended."""
    found = site.job(job)
    if not found.ended_by_itself:
        hint = f"GET /api/jobs/{job} says when it ends; GET /api/jobs/{job}/rows returns the rows that are finished."
        raise NotFinishedError(f"the table is still being predicted: {found.rows:,} rows are finished", hint)
    found.results.check(query)  # before the file begins
    body = download(found.results, query, format, has_blocks=found.has_blocks)
    return StreamingResponse(body, media_type=_MEDIA[format], headers=_attachment(f"{found.title}-predictions", format))


@router.get(
    "/jobs/{job}/rows/{row}/structure.svg",
    response_class=Response,
    responses={200: {"description": "The drawing.", "content": {"image/svg+xml": {}}}},
)
def structure(job: str, row: Number, site: Shared, theme: Theme = "light") -> Response:
    """Return a drawing of the structure of a row."""
    return molecule(site, _row(site, job, row).smiles, theme)


@router.get(
    "/structure.svg",
    response_class=Response,
    responses={200: {"description": "The drawing.", "content": {"image/svg+xml": {}}}},
)
def molecule(site: Shared, smiles: Annotated[str, Query(max_length=LONGEST)], theme: Theme = "light") -> Response:
    """Return a drawing of the structure of a molecule."""
    if reason := why_not_drawn(smiles, site.limits.max_atoms):
        raise SmilesError(None, smiles, reason)
    return Response(structure_svg(smiles, theme), media_type=_MEDIA["svg"], headers=_KEPT)


@router.get("/jobs/{job}/rows/{row}/explanation")
def explanation(
    job: str, row: Number, site: Shared, model: str, target: Annotated[str, Query(max_length=1000)] = ""
) -> ExplanationInfo:
    """Return a drawing with atoms and bonds coloured by their importance for a prediction."""
    served = _model(site, model)
    card = site.explainer.card(served, _small(site, _row(site, job, row)), site.job(job).results.header, target)
    text = next(text for name, _, text in card.predictions if name == card.target)
    methods = {name: MethodInfo(**method) for name, method in card.methods.items()}
    return ExplanationInfo(
        model=model,
        target=card.target,
        value=text,
        atoms=card.atoms,
        bonds=card.bonds,
        svg=card.svg,
        width=card.least,
        note=card.note,
        methods=methods,
    )


@router.get(
    "/jobs/{job}/rows/{row}/picture",
    response_class=Response,
    responses={200: {"description": "The picture.", "content": {"image/svg+xml": {}, "image/png": {}}}},
)
def picture(
    job: str,
    row: Number,
    site: Shared,
    model: str,
    target: Annotated[str, Query(max_length=1000)] = "",
    method: str = "",
    format: Literal["svg", "png"] = "png",
    theme: Theme = "light",
) -> Response:
    """Return the same drawing as a file, with headline and colour bar."""
    found = _small(site, _row(site, job, row))
    served = _model(site, model)
    content = site.explainer.picture(
        served, found, site.job(job).results.header, target=target, method=method, theme=theme, kind=format
    )
    return Response(content, media_type=_MEDIA[format], headers=_attachment(found.name or f"row-{row}", format))


@router.get("/jobs/{job}/rows/{row}/neighbors")
def neighbors(
    job: str, row: Number, site: Shared, model: str, count: Annotated[int, Query(ge=1, le=20)] = 3
) -> list[NeighborInfo]:
    """Return the training molecules that resemble a row most; none if they are not known."""
    found, served = _row(site, job, row), _model(site, model)
    if served.training is None:
        return []
    return [NeighborInfo(**one._asdict()) for one in served.training.nearest(found.smiles, count)]


def _row(site: Site, job: str, number: int) -> ResultRow:
    found = site.job(job).results.row(number)
    if found is None:
        raise NotThereError(
            f"there is no row {number:,} yet, or at all", f"GET /api/jobs/{job} says how many there are."
        )
    if len(found.smiles) > site.limits.max_smiles:
        reason = f"{len(found.smiles):,} characters, more than {site.limits.max_smiles:,}"
        raise SmilesError(number, found.smiles, reason)
    return found


def _small(site: Site, row: ResultRow) -> ResultRow:
    """Refuse a molecule that is too large to be coloured."""
    mol = parse_smiles(row.smiles)
    if not isinstance(mol, str) and (reason := why_too_large(mol, site.limits.drawn_atoms)):
        hint = "The prediction is not affected." if any(row.cells) else "Molecules of this size are not coloured here."
        raise DataError(f"not coloured: {reason}", hint=hint)
    return row


def _model(site: Site, name: str) -> ServedModel:
    return site.chosen([name])[0]


def _attachment(title: str, ending: str) -> dict[str, str]:
    """Return the header that names a file that is saved: letters that no system and no header misreads."""
    stem = re.sub(
        r"[^\w.-]+", "-", re.sub(r"\.(csv|xlsx|sdf|mol|smi|gz|parquet|tsv|txt)\b", "", title), flags=re.ASCII
    ).strip("-.")
    return {"content-disposition": f'attachment; filename="{stem[:60] or "molecule"}.{ending}"'}
