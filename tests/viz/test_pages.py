import builtins

import pytest
from jinja2 import UndefinedError

from pyg_samsa.errors import MissingDependencyError
from pyg_samsa.viz.pages import write_html


@pytest.fixture
def template(tmp_path):
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "look.css").write_text("p { color: red; }")
    path = folder / "page.html.j2"
    path.write_text('<style>{% include "look.css" %}</style><p>{{ text }}</p>')
    return path


def test_values_are_escaped_and_files_beside_the_template_included(template, tmp_path):
    path = write_html(template, tmp_path / "new" / "page.html", {"text": "<b>&"})
    assert path.read_text() == "<style>p { color: red; }</style><p>&lt;b&gt;&amp;</p>"


def test_a_missing_value_is_an_error_and_writes_nothing(template, tmp_path):
    with pytest.raises(UndefinedError, match="text"):
        write_html(template, tmp_path / "page.html", {})
    assert not (tmp_path / "page.html").exists()


def test_without_jinja_the_extra_is_named(template, tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("jinja2"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match="jinja2"):
        write_html(template, tmp_path / "page.html", {"text": ""})
