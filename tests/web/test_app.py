import re
from pathlib import Path

import pytest

import pyg_samsa.web
from pyg_samsa.web.limits import Limits
from pyg_samsa.web.served_models import ServedModel

STATIC = Path(pyg_samsa.web.__file__).parent / "static"


def test_the_page_names_the_models(client):
    page = client.get("/").text
    text = " ".join(re.sub(r"<[^>]*>", "", page).split())
    assert "atoms predicts atoms. peptides predicts a probability (0 to 1) for each of antimicrobial, anti" in text
    # How good it is, and for what.
    assert "On test molecules: AP 0.9462, AUC 0.9694. It gives no uncertainty ranges: none were measured" in text
    assert "its predictions for other molecules, such as drugs, are meaningless." in text
    assert "Your molecules stay on this computer." in page


def test_a_page_for_other_computers_does_not_say_that_molecules_stay_here(open_client, counter):
    page = open_client([counter()], hosts=["10.0.0.5"]).get("/").text
    assert "Your molecules are sent to the computer that serves this page." in page


def test_names_of_models_and_targets_are_escaped(open_client, counter, hostile):
    model = counter(name=hostile)
    model.predictor.extra_columns = [hostile]
    page = open_client([model, counter()]).get("/").text
    assert "<img" not in page
    assert page.count("</script>") == 2  # that of the module and that of the data


def test_there_are_no_inline_scripts_and_styles(client):
    page = client.get("/").text
    scripts = re.findall(r"<script([^>]*)>", page)
    assert all("src=" in one or 'type="application/json"' in one for one in scripts)
    assert not re.search(r"<style|\son\w+=|javascript:|style=", page)


def test_everything_that_the_page_loads_is_here(client):
    page = client.get("/").text + client.get("/editor").text
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(loaded) > 6
    for path in loaded:
        assert path.startswith("/"), path
        assert client.get(path).status_code == 200, path
    for script in STATIC.glob("*.js"):
        for name in re.findall(r'from "\./([\w.]+)"', script.read_text()):
            assert (STATIC / name).is_file()
        assert not re.search(r"https?://|innerHTML|document\.write|eval\(", script.read_text()), script


def test_the_editor_has_its_licence(client):
    assert "Novartis" in client.get("/static/jsme/license.txt").text


def test_files_outside_the_folder_are_not_served(client):
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py"):
        assert client.get(path).status_code == 404


def test_the_colours_of_the_bars_are_served(client):
    text = client.get("/scales.css").text
    assert ".bar.sequential" in text
    assert ".bar.diverging" in text


def test_unknown_pages_are_one_line(client):
    assert client.get("/api/nope").json() == {
        "error": "there is nothing at /api/nope",
        "hint": "The file /api/openapi.json lists all addresses.",
    }
    answer = client.post("/api/info")
    assert (answer.status_code, answer.json()["error"]) == (405, "/api/info does not take POST")
    assert answer.json()["hint"]


@pytest.mark.parametrize("kind", ["regression", "multilabel"])
def test_uncertainty_is_offered_where_the_model_has_it(open_client, counter, kind):
    from pyg_samsa.task import Task

    model = counter()
    model.predictor.task = Task(kind, ["a", "b"])
    page = open_client([ServedModel("m", model.predictor)], limits=Limits()).get("/").text
    assert f"Show uncertainty: {'ranges' if kind == 'regression' else 'answers'} that hold the true value in" in page
    assert "It gives no uncertainty ranges" not in page
    model.predictor.calibration = None
    page = open_client([ServedModel("m", model.predictor)], limits=Limits()).get("/").text
    assert "Show uncertainty" not in page
    assert "It gives no uncertainty ranges" in page


def test_the_temporary_folder_goes_with_the_server(counter, limits):
    from fastapi.testclient import TestClient

    from pyg_samsa.web.app import create_app

    app = create_app([counter()], limits)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        client.post("/api/jobs", json={"text": "C"})
        folder = app.state.site.jobs.folder
        assert any(folder.iterdir())
    assert not folder.exists()
