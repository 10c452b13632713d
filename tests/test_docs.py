"""What the documentation tells a user to type works, what it names exists, and the site builds."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shlex
import subprocess
import sys
import textwrap
from configparser import ConfigParser
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import fresh_process

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
FENCE = re.compile(r'^( *)```(\w+)(?: title="([^"]+)")?\n(.*?)^\1```$', re.MULTILINE | re.DOTALL)
NAMES = [page.relative_to(DOCS).as_posix() for page in PAGES]


def read(name):
    return (DOCS / name).read_text(encoding="utf-8")


def fences(text, *languages):
    for _, language, title, body in FENCE.findall(text):
        if language in languages:
            yield title, textwrap.dedent(body)


def commands(text):
    """Return the words of every command, without what a pipe leads to."""
    for _, body in fences(text, "bash"):
        for line in body.replace("\\\n", " ").splitlines():
            if words := shlex.split(line, comments=True):
                yield words[: words.index("|")] if "|" in words else words


def settings():
    from torch_geometric.graphgym.config import cfg, set_cfg

    import pyg_samsa.graphgym  # noqa: F401  # adds its settings to cfg
    from pyg_samsa.graphgym.config import all_keys

    set_cfg(cfg)
    return set(all_keys())


@pytest.mark.parametrize("name", [name for name in NAMES if any(fences(read(name), "python"))])
def test_python_of_a_page_runs(name, tmp_path, monkeypatch):
    """The blocks of a page run one after the other in one namespace; blocks with a title are files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    if re.search(r"pyg_samsa\.(chem|estimators)|rdkit", read(name)):
        pytest.importorskip("rdkit")
    names: dict[str, object] = {"__name__": "page"}
    made = set()
    for title, body in fences(read(name), "python", "yaml"):
        if title:
            Path(title).write_text(body, encoding="utf-8")
            made.add(Path(title).stem)
        else:
            exec(compile(body, name, "exec"), names)
    assert len(names) > 2
    for module in made & set(sys.modules):
        monkeypatch.delitem(sys.modules, module)
    from torch_geometric.graphgym import register

    for key in made & set(register.loader_dict):
        monkeypatch.delitem(register.loader_dict, key)


@pytest.mark.parametrize("name", [name for name in NAMES if any(commands(read(name)))])
def test_commands_of_a_page_exist(name, tmp_path, monkeypatch):
    from pyg_samsa.cli import _parser

    monkeypatch.chdir(tmp_path)
    for title, body in fences(read(name), "yaml"):
        if title:
            Path(title).write_text(body, encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    extras = ConfigParser()
    extras.read(ROOT / "setup.cfg")
    for words in commands(read(name)):
        if "graphgym" in words:  # python -m graphgym, torchrun ... -m graphgym
            words = ["pyg-samsa", "train", *words[words.index("graphgym") + 1 :]]
        program = Path(words[0]).name
        if program == "make":
            assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), words
        elif program == "pip":
            asked = re.search(r"\[(.+)\]$", words[-1])
            assert asked is None or set(asked[1].split(",")) <= set(extras["options.extras_require"]), words
        elif program == "pyg-samsa":
            check_command(_parser(), words[1:], read(name))
        else:
            assert program in ("python3", "python", "git", "tar", "curl"), words


def check_command(parser, words, page):
    from pyg_samsa.experiments import grids
    from pyg_samsa.graphgym.config import find_config, load_config

    try:
        args = parser.parse_args(words)
    except SystemExit:
        pytest.fail(f"pyg-samsa {shlex.join(words)} is refused")
    titles = {title for title, _ in fences(page, "yaml")}
    opts = getattr(args, "opts", [])
    config = getattr(args, "cfg_file", None) or getattr(args, "config", None)
    config = config or ("csv" if getattr(args, "csv", None) else "")
    if config.startswith("results/"):
        config = "csv"  # a file that an earlier command of the page writes
    if config:
        load_config(find_config(config), opts)  # an unknown setting, or a value that is not allowed, is an error
    elif opts:
        load_config("quickstart", opts)
    if (grid := getattr(args, "grid", None)) and grid not in titles:
        assert grids.find_grid(grid).is_file()
    model = getattr(args, "model", None)
    if args.command.__name__.endswith((".predict", ".explain")) and not model.startswith("results/"):
        from pyg_samsa.hub import shipped

        assert model in shipped()
    if getattr(args, "action", None) == "import":
        from pyg_samsa.datasets import catalog

        assert args.name in catalog.names()


def test_grid_of_a_page_is_read(tmp_path):
    from pyg_samsa.experiments import grids

    for title, body in fences(read("howto/sweep.md"), "yaml"):
        (tmp_path / title).write_text(body, encoding="utf-8")
        grid = grids.read_grid(tmp_path / title, seeds=range(5))
        assert len(grid.cells) * len(grid.seeds) == 2 * 3 * 2 * 5  # as the page says


@pytest.mark.parametrize("name", NAMES)
def test_what_a_page_names_exists(name):
    prose = FENCE.sub("", read(name))
    code = re.findall(r"`([^`\n]+)`", prose)
    keys, wrong = settings(), []
    groups = {key.split(".")[0] for key in keys if "." in key} - {"model"}
    for text in code:
        for key in re.findall(r"(?<![\w./])([a-z_]+\.[a-z_]+)\b(?!\.\w|\()", text):
            if key.split(".")[0] in groups and key not in keys and not key.endswith((".py", ".yaml", ".csv")):
                wrong.append(key)
        if re.fullmatch(r"pyg_samsa(\.\w+)+", text) and not found(text):
            wrong.append(text)
        if (
            re.fullmatch(r"(examples|tests|pyg_samsa|graphgym_configs|docs|benchmarks)/[\w./]*", text)
            and not (ROOT / text).exists()
        ):
            wrong.append(text)
        if re.match(r"pyg-samsa [a-z]", text):
            command = text.split()[1]
            if importlib.util.find_spec(f"pyg_samsa.cli.{command.replace('-', '_')}") is None:
                wrong.append(text)
    wrong += [path for path in re.findall(r"\]\[(pyg_samsa[\w.]+)\]", prose) if not found(path)]
    assert not wrong


TEXTS = [page.relative_to(ROOT).as_posix() for page in PAGES]
TEXTS += ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"]


def in_a_clone():
    """Return the files and folders that a clone has, where git knows; else those that are there."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    known = {ROOT / name for name in listed.stdout.split("\0") if name} if listed.returncode == 0 else set()
    known = known or {path for path in ROOT.rglob("*") if ".venv" not in path.parts}
    return known | {folder for path in known for folder in path.parents}


def anchors(text):
    """Return the anchors of the headings of a page, as GitHub and MkDocs make them."""
    titles = re.findall(r"^#+ +(.+?) *$", FENCE.sub("", text), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", re.sub(r"\]\([^)]*\)", "", title)).lower().strip() for title in titles)
    return {re.sub(r" ", "-", title) for title in plain}


def relative_links(text):
    """Yield target and anchor of every relative link and picture."""
    prose = re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))
    found = re.findall(r"\]\(\s*<?([^)\s>]+)>?[^)]*\)", prose)
    found += re.findall(r"^\[[^\]]+\]: +(\S+)", prose, re.MULTILINE)
    found += re.findall(r"(?:src|href)=\"([^\"]+)\"", prose)
    for link in found:
        target, _, anchor = link.partition("#")
        if not re.match(r"[a-z]+:", target):
            yield target, anchor


@pytest.mark.parametrize("name", TEXTS)
def test_relative_links_lead_somewhere_in_a_clone(name):
    page, known, wrong = ROOT / name, in_a_clone(), []
    text = page.read_text(encoding="utf-8")
    for target, anchor in relative_links(text):
        place = Path(os.path.normpath(page.parent / target)) if target else page
        if place not in known:
            wrong.append(target)
        # The pages of the reference have their headings when the documentation is built.
        elif anchor and place.suffix == ".md" and place.parent.name != "reference":
            wrong += [] if anchor in anchors(place.read_text(encoding="utf-8")) else [f"{target}#{anchor}"]
    assert not wrong


def test_links_are_found_where_they_are():
    text = "[a](b.md#c) ![p](d.png) `[no](x.md)` [`code`](e.md) <https://a.b> [w](https://c.d)\n\n[r]: f.md\n"
    text += '<img src="g.svg">\n```text\n[no](y.md)\n```\n'
    assert sorted(relative_links(text)) == [("b.md", "c"), ("d.png", ""), ("e.md", ""), ("f.md", ""), ("g.svg", "")]
    assert anchors("# A title, `pe.*` and [more](x.md)\n## B\n") == {"a-title-pe-and-more", "b"}


def test_pages_of_the_reference_say_in_a_clone_how_to_build_them_and_give_way(hooks):
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import File, Files

    config = MkDocsConfig()
    config.load_dict({"site_name": "x", "docs_dir": str(DOCS), "site_dir": str(ROOT / "site")})
    assert config.validate() == ([], [])
    config.plugins._current_plugin = "hooks"  # as MkDocs says while it calls them
    told = sorted(page.relative_to(DOCS).as_posix() for page in (DOCS / "reference").rglob("*.md"))
    assert told
    files = Files([File(path, str(DOCS), str(ROOT / "site"), use_directory_urls=False) for path in told])
    made = hooks.on_files(files, config)
    for path in told:
        assert "`make docs`" in read(path)
        assert f"site/{path.removesuffix('.md')}.html" in read(path)
        assert read(path).splitlines()[0] == made.get_file_from_path(path).content_string.splitlines()[0]
        assert "make docs" not in made.get_file_from_path(path).content_string


def found(path):
    module, value = path, None
    while value is None and module:
        try:
            value = importlib.import_module(module)
        except ModuleNotFoundError:
            module = module.rpartition(".")[0]
    for part in path[len(module) + 1 :].split(".") if path != module else []:
        value = getattr(value, part, None)
    return value is not None


@pytest.fixture(scope="module")
def docstrings():
    pytest.importorskip("griffe", reason="the extra docs is not installed")
    return load("docstrings")


@pytest.fixture(scope="module")
def hooks(docstrings):
    pytest.importorskip("mkdocs", reason="the extra docs is not installed")
    return load("hooks")


def load(name):
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_docstring_becomes_markdown(docstrings):
    text = textwrap.dedent(r"""
        Half of :math:`x_i`, see `mean` and ``None``, from the `"Paper of
        many" <https://arxiv.org/abs/1>`_ paper.

        .. math::
            a &= b

            c &= d

        ===== ========
        name  what
        ===== ========
        x     ``y | z``
        ===== ========

        Shapes:
            - **input:** [T, D]

        Example:
            >>> f(`1`)
            2

        Cost: O(T D),
            more or less.
        """)
    out = docstrings.to_markdown(text, {"mean": "lib.mean"}.get)
    assert (
        r"\(x_i\), see [`mean`][lib.mean] and `None`, from the [\"Paper of many\"](https://arxiv.org/abs/1) paper.".replace(  # noqa: E501
            '\\"', '"'
        )
        in out
    )
    assert "\n\\[ \\begin{aligned} a &= b \\\\ c &= d \\end{aligned} \\]\n" in out
    assert "| name | what |\n|---|---|\n| x | `y \\| z` |" in out
    assert "\n**Shapes:**\n\n- **input:** [T, D]\n" in out
    assert "Examples:\n    >>> f(`1`)\n    2\n" in out
    assert "**Cost:** O(T D), more or less.\n" in out


def test_every_public_name_is_in_the_reference(docstrings):
    for room, entries in docstrings.documented().items():
        names = {entry.name for entry in entries}
        assert names
        assert set(getattr(importlib.import_module(f"pyg_samsa.{room}"), "__all__", ())) <= names
    assert docstrings.targets()["SAMSAConv"] == "pyg_samsa.nn.SAMSAConv"


def test_equations_become_mathml(hooks, caplog):
    html = hooks.on_page_content(
        r'<p><span class="arithmatex">\(a &lt; \bigl\langle b \bigr\rangle\)</span></p><div class="arithmatex">\[ \arg\max_i z_i \]</div>',  # noqa: E501
        page=SimpleNamespace(file=SimpleNamespace(src_uri="page.md")),
    )
    assert html.count("<math") == 2
    assert "arithmatex" not in html
    assert "\\" not in re.sub("<[^>]+>", "", html)
    assert not caplog.records
    hooks._mathml(r"\[ \nosuchcommand x \]", "page.md")
    assert "page.md" in caplog.text


def test_generated_pages_hold_everything(hooks):
    from pyg_samsa.cli import _commands
    from pyg_samsa.graphgym.config import packaged_configs
    from pyg_samsa.graphgym.settings import SETTINGS

    pages = dict(hooks._pages())
    added = [key for key, setting in SETTINGS.items() if setting.added]
    assert not [key for key in added if f"| `{key}` |" not in pages["reference/configuration.md"]]
    assert not [
        name
        for name in packaged_configs()
        if f"| `{name.removeprefix('grids/')}` |" not in pages["reference/configs.md"]
    ]
    assert not [name for name in _commands() if f"## pyg-samsa {name}\n" not in pages["reference/cli.md"]]
    assert set(hooks.GRAPHGYM) <= settings()


@pytest.mark.parametrize("name", ["../README.md", *NAMES])
def test_columns_of_tables_and_pictures_have_names(name):
    text = re.sub(FENCE, "", read(name))
    heads = re.findall(r"^(\|.*\|)\n\|[-:| ]+\|$", text, re.MULTILINE)
    assert not [head for head in heads if re.search(r"\|\s*\|", head)]
    assert all(alt.strip() for alt in re.findall(r"!\[([^\]]*)\]\(", text))


def test_colours_of_the_site_can_be_read():
    css = read("assets/stylesheets/extra.css")

    def light(color):
        parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05

    def colors(scheme, start):
        rules = re.findall(rf"^\[data-md-color-scheme{scheme}\][^{{]*{{([^}}]*)}}", css, re.MULTILINE)
        return re.findall(rf"--md-{start}[\w-]*color: (#[0-9a-f]{{6}})", " ".join(rules))

    code = [
        ("#f5f5f5", colors('="default"', "code-hl")),  # backgrounds of the theme's code blocks
        ("#272a35", colors('="slate"', "code-hl")),
        ("#f5f5f5", colors('="default"', "typeset-a")),
        ("#ffffff", colors("", "primary-fg")),
    ]
    for background, found in code:
        assert found
        for color in found:
            pair = sorted((light(background), light(color)))
            assert pair[1] / pair[0] >= 4.5, (background, color)


@pytest.mark.slow
def test_site_builds_without_warnings(hooks, tmp_path):
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings_handlers.python")
    code = "import sys; from mkdocs.__main__ import cli; cli(['build', *sys.argv[1:]])"
    words, environment = ["--strict", "--quiet", "--site-dir", tmp_path / "site"], {"NO_MKDOCS_2_WARNING": "1"}
    built = fresh_process.run(code, *words, cwd=ROOT, env=environment, timeout=600)
    assert built.returncode == 0, built.stdout + built.stderr
    page = (tmp_path / "site" / "concepts" / "samsa.html").read_text(encoding="utf-8")
    assert page.count("<math") > 20
    assert "arithmatex" not in page
    # Tables of the terminal keep their columns, and what is scrolled can be reached with the keyboard.
    assert '<div class="language-text highlight">' in (tmp_path / "site" / "reference" / "cli.html").read_text()
    assert "assets/javascripts/scroll.js" in page
    # Nothing is fetched from elsewhere to show a page.
    assert not re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="?https?://', page)
