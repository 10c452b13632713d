import xml.etree.ElementTree as ET

import pytest

pytest.importorskip("rdkit")

from pyg_samsa.errors import SmilesError
from pyg_samsa.viz.molecules.structure import structure_svg


def test_structures_are_drawn_in_the_colours_of_the_theme():
    light, dark, auto = (structure_svg("CCO", theme) for theme in ("light", "dark", "auto"))
    assert len({light, dark, auto}) == 3
    assert "light-dark(" in auto
    assert "light-dark(" not in light + dark
    for svg in (light, dark, auto):
        assert ET.fromstring(svg).tag.endswith("svg")
    with pytest.raises(SmilesError):
        structure_svg("C(", "light")
