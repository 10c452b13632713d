"""The notebook of examples/ runs from start to end, shows what it promises, and is kept without outputs."""

import re
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
NOTEBOOK = EXAMPLES / "molecules.ipynb"
nbformat = pytest.importorskip("nbformat", reason="the extra dev is not installed")


@pytest.fixture(scope="module")
def notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


def examples():
    """The files of the folder; another test may be compiling scripts."""
    return sorted(path for path in EXAMPLES.iterdir() if path.name != "__pycache__")


def shown(notebook, kind):
    return [
        output["data"][kind]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if kind in output.get("data", {})
    ]


def test_it_is_kept_small_and_without_outputs(notebook):
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) >= 5
    assert not [cell.id for cell in code if cell.outputs or cell.execution_count is not None]
    assert NOTEBOOK.stat().st_size < 20_000
    links = [
        link for cell in notebook.cells for link in re.findall(r"\]\(([^)#]+)\)", cell.source) if "://" not in link
    ]
    assert links
    assert not [link for link in links if not (EXAMPLES / link).is_file()]


def test_it_runs_and_leaves_no_file(notebook, tmp_path, monkeypatch):
    nbclient = pytest.importorskip("nbclient", reason="the extra dev is not installed")
    pytest.importorskip("ipykernel", reason="the extra dev is not installed")
    pytest.importorskip("rdkit")
    for variable in ("HOME", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "MPLCONFIGDIR"):
        (tmp_path / variable).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    work, before = tmp_path / "work", examples()
    work.mkdir()
    ran = nbformat.from_dict(notebook)
    nbclient.NotebookClient(
        ran, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(work)}}
    ).execute()
    assert not list(work.iterdir())
    assert examples() == before

    drawings = shown(ran, "image/svg+xml")
    assert [next(name for name in ("anoplin", "moclobemide") if name in svg) for svg in drawings] == [
        "anoplin",
        "anoplin",
        "moclobemide",
    ]
    assert len(shown(ran, "image/png")) == 1
    table, pictures = (text for text in shown(ran, "text/html") if "antimicrobial" in text)
    assert "RDKit cannot read this SMILES" in table
    assert pictures.count("<img") == 3
    assert "No prediction: RDKit cannot read this SMILES" in pictures
    printed = "".join(
        output.text for cell in ran.cells for output in cell.get("outputs", []) if output.output_type == "stream"
    )
    error, guess = (
        float(number) for number in re.search(r": ([\d.]+); of guessing the mean: ([\d.]+)", printed).groups()
    )
    assert error < 0.7 * guess
    assert not re.findall(r"pyg_samsa/.*Warning.*", printed)
