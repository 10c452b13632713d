import io

import pytest
from rich.console import Console

from pyg_samsa.cli import _listing


@pytest.fixture
def files(tmp_path):
    """Three YAML files: a short comment, a long one below a blank line, and none."""
    texts = {
        "short": "# Trains quickly.\n# Another line.\nseed: 1\n",
        "a_longer_name": "\n#  " + "word " * 30 + "\nseed: 1\n",
        "bare": "seed: 1\n",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    return {name: tmp_path / f"{name}.yaml" for name in texts}


@pytest.mark.parametrize("columns", [20, 60, 100])
def test_names_stand_in_a_column_beside_the_first_comment(files, columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    _listing.print_files(files)
    lines = capsys.readouterr().out.splitlines()
    indent = len("a_longer_name") + 2
    assert lines[0] == f"{'short':<{indent}}Trains quickly."
    assert [line[:indent].strip() for line in lines if line[:indent].strip()] == list(files)
    assert " ".join(line[indent:] for line in lines).count("word") == 30
    assert max(map(len, lines)) <= max(columns, indent + 20)


def test_nothing_is_printed_for_no_file(capsys):
    _listing.print_files({})
    assert capsys.readouterr().out == ""


ROWS = [("peptides", "OGB: peptides\nPyG: LRGB", "yes"), ("shapes[a]", "", "")]


def test_a_table_in_a_pipe_has_a_line_per_row_and_no_box():
    pipe = io.StringIO()
    _listing.print_table(Console(file=pipe, width=20), ("name", "others", "prepared"), ROWS, title="data sets")
    assert pipe.getvalue() == "name\tothers\tprepared\npeptides\tOGB: peptides, PyG: LRGB\tyes\nshapes[a]\n"


def test_a_table_in_a_terminal_has_columns_and_its_title():
    terminal = io.StringIO()
    console = Console(file=terminal, width=60, force_terminal=True, color_system=None)
    _listing.print_table(console, ("name", "others", "prepared"), ROWS, title="data sets")
    shown = terminal.getvalue()
    assert shown.startswith("data sets")
    assert [line.split() for line in shown.splitlines() if "─" not in line and line.strip()][1:] == [
        ["name", "others", "prepared"],
        ["peptides", "OGB:", "peptides", "yes"],
        ["PyG:", "LRGB"],
        ["shapes[a]"],
    ]
    assert "\t" not in shown


def test_a_quiet_console_prints_no_table():
    pipe = io.StringIO()
    _listing.print_table(Console(file=pipe, quiet=True), ("name",), [("a",)])
    assert pipe.getvalue() == ""
