"""What the README tells a user to type works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_example_runs(number):
    if "pyg_samsa.chem" in EXAMPLES[number]:
        pytest.importorskip("rdkit")
    names: dict[str, object] = {}
    exec(EXAMPLES[number], names)
    assert len(names) > 1


def test_there_are_examples_and_all_files_that_it_names_exist():
    assert len(EXAMPLES) >= 2
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    configs = re.findall(r"graphgym_configs/[\w/]+\.yaml", README)
    tabled = [f"graphgym_configs/{name}" for name in re.findall(r"^\| `([\w]+\.yaml)`", README, re.MULTILINE)]
    missing = [name for name in links + configs + tabled if not (ROOT / name).is_file()]
    assert tabled
    assert not missing


def test_files_that_contributing_names_exist():
    links = re.findall(r"\]\(([^)#]+)", CONTRIBUTING)
    named = re.findall(r"`((?:pyg_samsa|tests|docs|benchmarks)/[\w./]*)`", CONTRIBUTING)
    assert len(named) > 5
    assert not [name for name in links + named if "my_" not in name and not (ROOT / name).exists()]
