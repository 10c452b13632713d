"""The page in a browser: clicked by Playwright in the Chromium of this machine."""

import os
import re
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import uvicorn

from pyg_samsa.predict import Predictor
from pyg_samsa.predict.conformal import Calibration
from pyg_samsa.task import Task
from pyg_samsa.web.app import create_app
from pyg_samsa.web.limits import Limits
from pyg_samsa.web.served_models import ServedModel
from pyg_samsa.web.server import open_socket

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
AXE = os.environ.get("PYG_SAMSA_AXE", "")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield found
        found.close()


@pytest.fixture
def open_page(browser):
    """Opens the page of a server with some models; what the console of the browser says fails the test."""
    said, ends = [], []

    def make(models, **options):
        app = create_app(models, Limits(max_rows=5_000))
        listening = open_socket("127.0.0.1", 0)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        context = browser.new_context(accept_downloads=True, **options)
        context.set_default_timeout(20_000)
        ends.append((context, server, thread, listening))
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(f"dialog: {dialog.message}") or dialog.dismiss())
        page.goto(f"http://127.0.0.1:{listening.getsockname()[1]}/")
        return page

    yield make
    for context, server, thread, listening in ends:
        context.close()
        server.should_exit = True
        thread.join(timeout=20)
        listening.close()
    # Browsers also tell the refusals that a test asks for.
    assert [text for text in said if "status of 422" not in text] == []


def drop(page, name, content):
    transfer = page.evaluate_handle(
        "([name, text]) => { const t = new DataTransfer(); t.items.add(new File([text], name)); return t; }",
        [name, content],
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})


def predict(page, text):
    page.fill("#text", text)
    page.click("#predict")
    page.wait_for_selector("#progress[data-state=done]")
    page.wait_for_selector("tbody tr")


def names(page):
    return page.locator("tbody th > :first-child").all_inner_texts()


def test_a_chemist_clicks_through_the_page(open_page, counter, peptides, hostile):
    page = open_page([counter(), peptides])
    predict(page, f"CCO ethanol\nc1ccccc1 benzene\nC( broken\nCC {hostile}\n")
    assert names(page) == ["ethanol", "benzene", "broken", hostile]
    assert re.fullmatch(r"4 rows in \d+ s, 1 without a prediction\.", page.inner_text("#progress-text"))
    assert (
        page.inner_text("#notes")
        == "The model peptides gives no uncertainty ranges: it was saved without validation rows to measure them on."
    )
    assert page.locator("tbody tr:first-child td.number").first.inner_text().split("\n") == ["3.000", "2.500 to 3.500"]
    assert (
        page.inner_text("tbody tr:nth-child(3) .failed")
        == "RDKit cannot read this SMILES (the bracket ( is not closed)"
    )

    page.reload()
    page.wait_for_selector("tbody tr:nth-child(4)")
    assert names(page)[0] == "ethanol"

    page.click("thead button:has-text('atoms')")
    page.wait_for_selector("thead [aria-sort=descending]")
    page.wait_for_selector("tbody tr:first-child:has-text('benzene')")
    assert names(page) == ["benzene", "ethanol", hostile, "broken"]

    offered = page.locator("#filter-column option").all_inner_texts()
    assert offered[0] == "(no filter)"
    assert not [text for text in offered if "_" in text], "names of columns in words"
    page.select_option("#filter-column", "c0")
    page.fill("#high", "4")
    page.wait_for_selector("#page:has-text('of 2')")
    with page.expect_download() as started:
        page.click("#csv")
    lines = Path(started.value.path()).read_text(encoding="utf-8").splitlines()
    assert started.value.suggested_filename == "4-pasted-molecules-predictions.csv"
    assert [line.split(",")[0] for line in lines] == ["smiles", "CCO", "CC"]


def test_repeated_molecules_are_marked_filtered_and_saved_as_excel(open_page, counter):
    page = open_page([counter()])
    predict(page, "CCO ethanol\nC methane\nOCC again\n")
    assert page.locator("tbody th small").all_inner_texts() == ["same molecule as row 3", "same molecule as row 1"]
    page.select_option("#show", "repeated")
    page.wait_for_selector("#page:has-text('of 2')")
    assert names(page) == ["ethanol", "again"]
    with page.expect_download() as started:
        page.click("#xlsx")
    assert started.value.suggested_filename == "3-pasted-molecules-predictions.xlsx"
    assert Path(started.value.path()).read_bytes().startswith(b"PK")


def test_a_molecule_is_coloured_and_saved(open_page, counter, peptides):
    page = open_page([counter(), peptides])
    predict(page, "CCO ethanol")
    page.click("tbody th button")
    page.wait_for_selector("#picture svg .layer.occlusion")
    assert page.locator("#picture title", has_text="atom O2: 1").count() == 1
    assert page.inner_text("#neighbors li:first-child b") == "similarity 1.00"
    assert "measured: atoms 3.25" in page.inner_text("#neighbors li:first-child")
    page.select_option("#detail-model", "peptides")
    page.wait_for_selector("#picture svg .layer.sampled", state="attached")
    page.select_option("#detail-method", "contribution")
    assert page.locator("#picture .contribution").is_visible()
    assert not page.locator("#picture .sampled").is_visible()
    assert page.inner_text("#neighbors-note") == "Not available: no run."
    with page.expect_download() as started:
        page.click("#png")
    assert Path(started.value.path()).read_bytes().startswith(b"\x89PNG")


class Says(Predictor):
    """Predicts given probabilities, with sets of answers or classes."""

    def __init__(self, kind, names, values, score):
        self.task, self.values = Task(kind, names), values
        self.calibration = Calibration(kind, (np.full(30, score),) * (1 if kind == "multiclass" else 4))

    def outputs(self, inputs, *, draws=None):
        return np.tile(self.values, (len(inputs.smiles), 1)), None


def test_sets_are_told_in_words(open_page):
    said = {
        "sure": ("multilabel", ["a", "b"], [0.9, 0.2], 0.15),
        "open": ("multilabel", ["a", "b"], [0.9, 0.2], 0.95),
        "class": ("multiclass", ["x", "y", "z"], [0.5, 0.2, 0.3], 0.75),
        "one": ("multiclass", ["x", "y", "z"], [0.9, 0.05, 0.05], 0.2),
    }
    page = open_page([ServedModel(name, Says(*options)) for name, options in said.items()])
    predict(page, "CCO ethanol")
    below = page.locator("tbody td.number small").all_inner_texts()
    assert below[:4] == ["answer: yes", "neither yes nor no fits", "answer: open", "answer: open"]
    assert set(below[4:]) == {"could be x or z", "class: x"}


def test_what_was_given_last_is_predicted(open_page, counter, tmp_path):
    page = open_page([counter()])
    (tmp_path / "one.smi").write_text("CCCC butane\n")
    page.fill("#text", "CCO ethanol")
    page.set_input_files("#file", tmp_path / "one.smi")
    page.wait_for_selector("tbody tr:has-text('butane')")
    assert page.inner_text("#results-title") == "Predictions for one.smi"
    page.wait_for_load_state("networkidle")  # pictures of a table that is gone would be missing
    before = page.url
    page.click("#predict")
    sync_api.expect(page).not_to_have_url(before, timeout=20_000)  # another table
    page.wait_for_selector("tbody tr:has-text('butane')")
    assert page.inner_text("#results-title") == "Predictions for one.smi"
    page.wait_for_load_state("networkidle")
    page.fill("#text", "CCO ethanol")
    page.click("#predict")
    page.wait_for_selector("tbody tr:has-text('ethanol')")
    assert page.inner_text("#results-title") == "Predictions for 1 pasted molecule"


def test_a_dropped_file_is_cancelled_and_keeps_its_rows(open_page, counter):
    page = open_page([counter(pause=0.15)])
    drop(page, "many.csv", "smiles\n" + "CCO\n" * 4_000)
    page.wait_for_selector("#progress[data-state=running]")
    page.wait_for_selector("tbody tr")
    page.click("#cancel")
    page.wait_for_selector("#progress[data-state=cancelled]")
    assert page.inner_text("#progress-title") == "many.csv"
    assert page.inner_text("#progress-text").startswith("Not complete: ")
    assert len(names(page)) == 50
    drop(page, "virus.exe", "x")
    page.wait_for_selector("#problem:visible")
    assert page.inner_text("#problem").startswith("files such as 'virus.exe' are not read here")


def test_a_drawing_is_added_to_the_list(open_page, counter):
    page = open_page([counter()])
    page.fill("#text", "C methane")
    page.click("#draw")
    frame = page.wait_for_selector("#editor iframe").content_frame()
    frame.wait_for_selector("html[data-ready=yes]", state="attached")
    frame.evaluate("editor.readGenericMolecularInput('CCO')")
    # The editor reads a molecule when it has time.
    for _ in range(400):
        if frame.evaluate("editor.smiles()"):
            break
        page.wait_for_timeout(50)
    page.click("#take")
    sync_api.expect(page.locator("#text")).to_have_value("C methane\nCCO\n", timeout=20_000)


@pytest.mark.skipif(not Path(AXE).is_file(), reason="PYG_SAMSA_AXE names no axe.min.js (npm install axe-core)")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 420])
def test_axe_finds_nothing(open_page, counter, peptides, width, scheme):
    page = open_page(
        [counter(), peptides], viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True
    )
    page.add_script_tag(path=AXE)

    def violations():
        return page.evaluate("async () => (await axe.run()).violations.map((one) => [one.id, one.nodes[0].html])")

    assert violations() == []
    predict(page, "CCO ethanol\nOCC again\nC( broken")
    assert violations() == []
    page.click("tbody th button")
    page.wait_for_selector("#picture svg")
    assert violations() == []
