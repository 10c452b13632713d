import pytest

from pyg_samsa.cli import main

pytest.importorskip("fastapi")


@pytest.fixture
def served(monkeypatch):
    """What the command asked the server for."""
    from pyg_samsa.web import server

    seen = {}

    def serve(models, **options):
        seen.update(options, models=models)
        options["started"]("http://127.0.0.1:8000/")

    monkeypatch.setattr(server, "serve", serve)
    return seen


def test_the_defaults_are_safe(served, capsys):
    assert main(["serve", "peptides"]) == 0
    assert (served["models"], served["host"], served["port"], served["neighbors"]) == (
        ["peptides"],
        "127.0.0.1",
        8000,
        True,
    )
    assert served["limits"].max_rows == 1_000_000
    assert capsys.readouterr().out == "http://127.0.0.1:8000/  Ctrl-C ends the server\n"


def test_options_reach_the_server(served, monkeypatch):
    import webbrowser

    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    words = [
        "--max-rows",
        "5",
        "--max-mb",
        "6",
        "--max-atoms",
        "7",
        "--max-minutes",
        "8",
        "--no-neighbors",
        "--open",
        "-q",
    ]
    assert main(["serve", "a", *words, "b"]) == 0
    limits = served["limits"]
    assert (limits.max_rows, limits.max_mb, limits.max_atoms, limits.max_minutes) == (5, 6, 7, 8)
    assert (served["models"], served["neighbors"], opened) == (["a", "b"], False, ["http://127.0.0.1:8000/"])


def test_wrong_limits_and_models_are_one_line(capsys):
    assert main(["serve", "peptides", "--max-rows", "0"]) == 2
    assert capsys.readouterr().err.startswith("error: --max-rows: got 0")
    assert main(["serve", "no_such_model", "--port", "0", "-q"]) == 3
    assert "no_such_model" in capsys.readouterr().err
