import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pyg_samsa.training.run_record import RunRecord
from pyg_samsa.viz.report.html_report import write_report

VOID = {"meta", "link", "br", "img", "hr", "input", "use", "path"}


class Structure(HTMLParser):
    """Collects links and tags, and sees whether every tag is closed where it should be."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.sources, self.targets, self.ids = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        values = dict(attrs)
        self.sources += [values[name] for name in ("src", "href", "xlink:href") if name in values]
        self.ids += [values["id"]] if "id" in values else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


def make_frame(task, rows=80, names=("a", "b"), smiles=True, shift=0.0):
    generator = np.random.default_rng(1)
    table = {"row": np.arange(rows)}
    if smiles:
        table["smiles"] = ["CCO", "c1ccccc1O", "NCC(=O)O", "not a molecule"] * (rows // 4)
    if task == "classes":
        logits = generator.normal(size=(rows, len(names))) + shift
        shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        table |= {"true": generator.integers(0, len(names), rows), "pred": shares.argmax(1)}
        table |= {f"{name}_pred": shares[:, number] for number, name in enumerate(names)}
    for name in names if task != "classes" else ():
        true = generator.normal(size=rows) if task == "values" else generator.integers(0, 2, rows).astype(float)
        noise = generator.uniform(size=rows)
        table[f"{name}_true"] = np.where(generator.uniform(size=rows) < 0.1, np.nan, true)
        table[f"{name}_pred"] = (
            true + noise - 0.5 + shift if task == "values" else np.clip(0.5 * true + 0.5 * noise, 0, 1)
        )
    return pd.DataFrame(table)


def make_record(seed=0, folder="exp", predictions=None, test=None, settings=None, **other):
    test = {"ap": 0.5 + 0.1 * seed, "loss": 0.3} if test is None else test
    history = pd.DataFrame(
        {"epoch": [1, 2, 3], "total_seconds": [1.0, 2.0, 3.0], "train_loss": [3, 2, 1.0], "val_loss": [3, 2.5, 2]}
    )
    history["train_ap"], history["val_ap"] = [0.2, 0.3, 0.4], [0.2, 0.25, 0.3 + 0.01 * seed]
    summary = {
        "test": test,
        "val": {"ap": 0.4},
        "monitor": "val_ap",
        "best_epoch": 3,
        "epochs": 3,
        "seconds": 75.0,
        "seconds_per_epoch": 25.0,
    }
    content = {"seed": seed, "dataset.format": "samsa", "dataset.name": "d", "samsa.layers": 2, **(settings or {})}
    environment = {
        "python": "3.11",
        "cpu": "A processor",
        "argv": ["train", "--cfg", "x"],
        "packages": {"torch": "2.13"},
    }
    values = {
        "summary": {**summary, "parameters": 12345},
        "history": history,
        "environment": environment,
        "predictions": predictions,
        **other,
    }
    return RunRecord(Path(f"results/{folder}/{seed}"), folder, seed, content, **values)


@pytest.fixture
def frame():
    """Makes a table of test predictions."""
    return make_frame


@pytest.fixture
def record():
    """Makes the record of a run."""
    return make_record


@pytest.fixture
def page(tmp_path):
    """Writes a report, checks that it is well-formed and needs no other file, and returns its text and structure."""

    def write(*records, **options):
        text = write_report(records, tmp_path / "report.html", **options).read_text()
        structure = Structure()
        structure.feed(text)
        assert structure.open == []
        # One file: nothing is fetched from anywhere.
        assert all(source.startswith(("#", "data:image/")) for source in structure.sources)
        assert not {"link", "iframe", "object"} & set(structure.tags)
        assert not re.search(r"@import|url\((?!#)", text)
        return text, structure

    return write
