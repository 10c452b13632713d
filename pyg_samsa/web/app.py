"""The application: the page, its files, and the REST interface.

Imported only by `pyg_samsa.web.server`, which has found FastAPI.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException as StarletteHTTPException

from pyg_samsa._version import __version__
from pyg_samsa.errors import SAMSAError
from pyg_samsa.explain.page import scale_stops
from pyg_samsa.viz.molecules.colours import SCALES
from pyg_samsa.web import routes, row_routes
from pyg_samsa.web.guard import Guard
from pyg_samsa.web.jobs import BusyError, Jobs
from pyg_samsa.web.limits import Limits
from pyg_samsa.web.pictures import Explainer
from pyg_samsa.web.problems import DOCUMENT, describe_invalid, describe_unreadable, encodable, hint_of
from pyg_samsa.web.routes import HintedError, Site
from pyg_samsa.web.schemas import Info
from pyg_samsa.web.served_models import ServedModel
from pyg_samsa.web.uploads import ACCEPTED

_HERE = Path(__file__).parent
LOOPBACK = ("127.0.0.1", "localhost", "::1")
EVERYWHERE = {"0.0.0.0", "::"}
"""Hosts that mean all addresses of this computer."""
_DESCRIPTION = """\
Predictions for molecules. A table of molecules is a job: send it, ask for its progress, and read its rows, sorted and
filtered, or download it. A few molecules are predicted at once by `/api/predict`.
"""


def create_app(models: Sequence[ServedModel], limits: Limits, *, hosts: Sequence[str] = ()) -> FastAPI:
    """Return the application of a server.

    Args:
        models: The models, at least one.
        limits: What the server accepts.
        hosts: Names of the server beside those of the loopback address; requests with another one are refused.

    Example:
        >>> from pyg_samsa.web.served_models import load_models
        >>> app = create_app(load_models(["peptides"], Path("unused")), Limits())
        >>> "/api/predict" in app.openapi()["paths"]
        True
        >>> app.state.site.jobs.close()
    """
    site = Site(list(models), limits, Jobs(limits), Explainer(limits))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        site.jobs.close()

    app = FastAPI(
        title="pyg-samsa serve",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        openapi_url="/api/openapi.json",
        docs_url=None,  # these pages load scripts from the network
        redoc_url=None,
    )
    app.state.site = site
    app.include_router(routes.router)
    app.include_router(row_routes.router)
    app.mount("/static", StaticFiles(directory=_HERE / "static"), name="static")
    _add_pages(app, site, local=not set(hosts) - set(LOOPBACK))
    _add_errors(app)
    known, everywhere = [*LOOPBACK, *hosts], bool(EVERYWHERE & set(hosts))
    app.add_middleware(Guard, max_bytes=limits.max_bytes, hosts=known, any_address=everywhere)
    return app


def _add_pages(app: FastAPI, site: Site, *, local: bool) -> None:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    about = Info.of(__version__, site.models, site.limits)

    def render(name: str, **context: Any) -> str:
        return environment.get_template(name).render(**context)

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    def index() -> str:
        """The page."""
        return render("index.html.j2", info=about, accepted=",".join(ACCEPTED), version=__version__, local=local)

    @app.get("/editor", response_class=HTMLResponse, include_in_schema=False)
    def editor() -> str:
        """The frame with the drawing editor."""
        return render("editor.html.j2")

    @app.get("/scales.css", include_in_schema=False)
    def scales() -> Response:
        """The colours of the bars below coloured molecules."""
        rules = (f".bar.{name} {{ background: linear-gradient(to right, {scale_stops(name)}); }}" for name in SCALES)
        return Response("\n".join(rules), media_type="text/css")


def _add_errors(app: FastAPI) -> None:
    def problem(status: int, error: str, hint: str) -> JSONResponse:
        return JSONResponse({"error": encodable(error), "hint": encodable(hint)}, status_code=status)

    @app.exception_handler(SAMSAError)
    def refused(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, SAMSAError)
        return problem(429 if isinstance(error, BusyError) else 422, str(error), hint_of(error))

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return problem(422, *describe_invalid(error.errors()[0], error.body, request.url.path))

    @app.exception_handler(StarletteHTTPException)
    def missing(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, StarletteHTTPException)
        path = request.url.path
        if isinstance(error, HintedError):
            return problem(error.status_code, str(error.detail), error.hint)
        if error.status_code == 404:
            return problem(404, f"there is nothing at {path[:80]}", "The file /api/openapi.json lists all addresses.")
        if error.status_code == 405:
            return problem(405, f"{path[:80]} does not take {request.method}", DOCUMENT)
        if isinstance(error.__cause__, (RecursionError, ValueError)):
            return problem(error.status_code, *describe_unreadable(error.__cause__, path))
        return problem(error.status_code, f"the form cannot be read: {error.detail}", DOCUMENT)
