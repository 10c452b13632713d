"""Requests that are drawn from the OpenAPI document are answered as it says, and never with an error of the server."""

import os

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from pyg_samsa.web.app import create_app
from pyg_samsa.web.limits import Limits
from pyg_samsa.web.schemas import JobInfo

# More for a longer search: PYG_SAMSA_EXAMPLES=500.
EXAMPLES = int(os.environ.get("PYG_SAMSA_EXAMPLES", "10"))
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def server():
    """A server with a table of four rows."""
    from pyg_samsa.predict import load_predictor
    from pyg_samsa.web.predicted_table import Asked
    from pyg_samsa.web.served_models import ServedModel
    from pyg_samsa.web.uploads import save_text

    limits = Limits(max_mb=1, max_rows=100, max_atoms=40, max_tables=100, drawn_atoms=20)
    app = create_app([ServedModel("peptides", load_predictor("peptides"))], limits)
    site = app.state.site
    job = site.jobs.start(site.models, lambda folder: save_text("CCO a\nC( b\nC\nCC", folder, limits), Asked(None))
    while not job.ended_by_itself:
        job.cancelled.wait(0.02)
    yield app, job
    site.jobs.close()


def operations():
    app = create_app([], Limits())
    app.state.site.jobs.close()
    document = app.openapi()
    return [(path, method) for path, methods in document["paths"].items() for method in methods]


@pytest.mark.parametrize(("path", "method"), operations(), ids=lambda value: value.strip("/").replace("/", "-"))
def test_answers_are_those_of_the_document(server, path, method):
    app, job = server
    schema = schemathesis.openapi.from_dict(app.openapi())
    schema.app = app
    operation = schema[path][method.upper()]

    @hypothesis.given(case=operation.as_strategy(), known=hypothesis.strategies.booleans())
    @hypothesis.settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    def check(case, known):
        # A drawn id is never that of a table: half of the requests get one that is there.
        if known and method != "delete" and "job" in (case.path_parameters or {}):
            case.path_parameters["job"] = job.id
            if "row" in case.path_parameters:
                case.path_parameters["row"] = 1 + len(str(case.query)) % 5
                case.query = {**(case.query or {}), "model": "peptides"}
        answer = case.call(base_url="http://127.0.0.1")
        assert answer.status_code < 500
        case.validate_response(answer, checks=CHECKS)

    check()
    assert JobInfo.of(job).rows == 4
