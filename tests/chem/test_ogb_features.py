import csv
import gzip
import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem, rdBase

from pyg_samsa.chem.molecule_names import canonical_smiles, parse_ranked, scaffold_of
from pyg_samsa.chem.ogb_features import (
    ATOM_CARDINALITIES,
    ATOM_FEATURES,
    BOND_CARDINALITIES,
    BOND_FEATURES,
    Refusal,
    graph_arrays,
    parse_smiles,
    smiles_to_table,
)
from pyg_samsa.nn import AtomEncoder, BondEncoder

REAL = Path(__file__).parents[2].parent / "shared/data/peptides_func/peptide_multi_class_dataset.csv.gz"

ODD = {
    "salt": "CC(=O)[O-].[Na+]",
    "two anions": "[Ca+2].[Cl-].[Cl-]",
    "zwitterion": "[NH3+]CC(=O)[O-]",
    "charge of 6": "[C-6]",
    "charge of 5": "[V+5]",
    "charge of -5": "[Re-5]",
    "eight hydrogens": "[UH8]",
    "nine hydrogens": "[UH9]",
    "ten neighbours": "[U](F)(F)(F)(F)(F)(F)(F)(F)(F)F",
    "isotopes": "[13CH4].[2H]O[2H]",
    "single atom": "C",
    "bare proton": "[H+]",
    "hydrogen": "[H][H]",
    "methyl radical": "[CH3]",
    "carbene": "[CH2]",
    "manganese": "[Mn+2]",
    "bare nitrogen": "[N]",
    "bare carbon": "[C]",
    "metal": "[Fe]",
    "metal complex": "N[Pt](N)(Cl)Cl",
    "square planar": "C[Pt@SP1](F)(Cl)[H]",
    "octahedral": "C[Co@OH3](F)(Cl)(Br)(I)S",
    "trigonal bipyramidal": "S[As@TB1](F)(Cl)(Br)N",
    "allene-like": "OC(Cl)=[C@AL1]=C(C)F",
    "dummy atom": "*CC*",
    "attachment points": "[*:1]c1ccccc1[2*]",
    "heaviest": "[Og]",
    "hypervalent": "FS(F)(F)(F)(F)F",
    "phosphorane": "FP(F)(F)(F)F",
    "iodine fluoride": "FI(F)(F)(F)F",
    "silane": "[SiH4]",
    "dative": "[NH3]->[Cu]",
    "quadruple": "[Re]$[Re]",
    "E": "F/C=C/F",
    "Z": "F/C=C\\F",
    "either": "FC=CF",
    "E with CIP ties": "C/C=C/C=C\\C",
    "chiral cw": "C[C@H](N)C(=O)O",
    "chiral ccw": "C[C@@H](N)C(=O)O",
    "spiro": "C1CC12CC2",
    "cubane": "C12C3C4C1C5C2C3C45",
    "aromatic heterocycle": "c1ccc2[nH]ccc2c1",
    "aromatic cation": "c1cc[o+]cc1",
    "selenophene": "c1cc[se]c1",
    "triple": "N#Cc1ccccc1",
    "azide": "CN=[N+]=[N-]",
    "fullerene piece": "c1cc2ccc3cccc4ccc(c1)c2c34",
    "name behind": "CCO ethanol",
    "leading space": " CCO",
    "atropisomer text": "Cc1cccc(Cl)c1-c1c(C)cccc1Br",
    "explicit hydrogens": "[H]C([H])([H])[H]",
    "large ring": "C1" + "C" * 60 + "1",
    "many neighbours": "[U](F)(F)(F)(F)(F)(F)(F)(F)(F)(F)(F)F",
    "long": "C" * 5000,
}


@pytest.fixture(scope="module")
def smiles2graph():
    pytest.importorskip("ogb")
    os.environ["OUTDATED_IGNORE"] = "1"  # ogb asks a server for its version while it is imported
    from ogb.utils import smiles2graph

    with rdBase.BlockLogs():
        yield smiles2graph


def assert_equal_to_ogb(smiles, smiles2graph):
    mol = Chem.MolFromSmiles(smiles)
    assert mol is not None, smiles
    expected = smiles2graph(smiles)
    for ours, name in zip(graph_arrays(mol), ("node_feat", "edge_index", "edge_feat"), strict=True):
        assert np.array_equal(ours.astype(np.int64), expected[name]), (smiles, name)
        assert ours.shape == expected[name].shape


@pytest.mark.parametrize("name", ODD)
def test_odd_molecules_equal_ogb(name, smiles2graph):
    with rdBase.BlockLogs():
        assert_equal_to_ogb(ODD[name], smiles2graph)


def test_odd_molecules_cover_the_features():
    with rdBase.BlockLogs():
        table = smiles_to_table(list(ODD.values()))
    assert {0, 1, 2, 3, 4} == set(table.edge_attr[:, 0].tolist())
    assert {118, 117} <= set(table.x[:, 0].tolist())
    assert {0, 1, 2, 4} <= set(table.x[:, 1].tolist())
    assert {11} <= set(table.x[:, 2].tolist()) & set(table.x[:, 3].tolist())
    assert {0, 1, 2, 3, 4} <= set(table.x[:, 5].tolist())
    assert {0, 1, 2, 3, 4, 5} == set(table.x[:, 6].tolist())
    assert (table.x.max(0) < ATOM_CARDINALITIES).all()
    assert (table.edge_attr.max(0) < BOND_CARDINALITIES).all()
    assert (table.x[:, 7:].max(0) == 1).all()


@pytest.mark.skipif(
    not REAL.is_file(), reason="the official Peptides-func table is not in ../shared/data/peptides_func"
)
def test_real_peptides_equal_ogb(smiles2graph):
    with gzip.open(REAL, "rt") as file:
        smiles = [row["smiles"] for row in itertools.islice(csv.DictReader(file), 0, None, 75)]
    assert len(smiles) > 200
    with rdBase.BlockLogs():
        for text in smiles:
            assert_equal_to_ogb(text, smiles2graph)


def test_cardinalities_are_ogbs():
    pytest.importorskip("ogb")
    from ogb.utils.features import get_atom_feature_dims, get_bond_feature_dims

    assert get_atom_feature_dims() == ATOM_CARDINALITIES
    assert get_bond_feature_dims() == BOND_CARDINALITIES
    assert len(ATOM_FEATURES) == 9
    assert len(BOND_FEATURES) == 3


def test_atropisomers_are_no_error():
    # OGB raises here: it knows of no atropisomers.
    mol = Chem.MolFromSmiles("Cc1cccc(Cl)c1-c1c(C)cccc1Br")
    bond = next(
        bond
        for bond in mol.GetBonds()
        if not bond.IsInRing() and bond.GetBeginAtom().GetIsAromatic() and bond.GetEndAtom().GetIsAromatic()
    )
    bond.SetStereo(Chem.BondStereo.STEREOATROPCW)
    _, _, edge_attr = graph_arrays(mol)
    assert edge_attr[2 * bond.GetIdx(), 1] == 5


def test_more_radical_electrons_than_ogb_knows_are_other():
    mol = Chem.MolFromSmiles("[C]")
    for electrons, code in ((0, 0), (4, 4), (5, 5), (9, 5)):
        mol.GetAtomWithIdx(0).SetNumRadicalElectrons(electrons)
        assert graph_arrays(mol)[0][0, ATOM_FEATURES.index("radical electrons")] == code


def test_every_value_of_rdkits_enumerations_has_a_number():
    for atom in Chem.MolFromSmiles("C").GetAtoms():
        for chirality in Chem.ChiralType.values.values():
            atom.SetChiralTag(chirality)
            assert 0 <= graph_arrays(atom.GetOwningMol())[0][0, 1] < 5
        for hybridization in Chem.HybridizationType.values.values():
            atom.SetHybridization(hybridization)
            assert 0 <= graph_arrays(atom.GetOwningMol())[0][0, 6] < 6


def test_both_directions_stand_side_by_side():
    _, edge_index, edge_attr = graph_arrays(Chem.MolFromSmiles("CC=O"))
    assert edge_index.tolist() == [[0, 1, 1, 2], [1, 0, 2, 1]]
    assert edge_attr[:, 0].tolist() == [0, 0, 1, 1]


def test_no_bonds():
    x, edge_index, edge_attr = graph_arrays(Chem.MolFromSmiles("[He]"))
    assert (x.shape, edge_index.shape, edge_attr.shape) == ((1, 9), (2, 0), (0, 3))


def test_a_table_of_nothing():
    table = smiles_to_table([])
    assert (table.x.shape, table.edge_index.shape, table.edge_attr.shape) == ((0, 9), (2, 0), (0, 3))
    assert len(table.num_nodes) == len(table.num_edges) == 0


@pytest.mark.parametrize(
    "text",
    [
        *("\ufeffCCO", "CCO\u200b", " CCO\u00a0", "CCO éthanol", "CCO\téthanol", "\u00adCCO\u2060 \u200b", "CCO\n"),
        *("\u200b CCO", "\ufeff CCO name", "CCO\u200e", "\u202aCCO\u202c", "CCO\ufe0f", "CCO |$a;;é$|"),
    ],
    ids=ascii,
)
def test_invisible_characters_and_names_do_not_matter(text):
    assert Chem.MolToSmiles(parse_smiles(text)) == "CCO"
    # Their names, by which molecules are split and compared, are those of the molecule.
    assert canonical_smiles([text]) == ["CCO"]
    assert scaffold_of(text.replace("CCO", "c1ccccc1O")) == "c1ccccc1"
    parsed, ranks, names = parse_ranked([text, "OCC"], max_atoms=None, split="scaffold", seed=0)
    assert len(parsed.kept) == 2
    assert ranks[0] == ranks[1]
    assert names[0] == names[1]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("   ", "empty"),
        (None, "no molecule (None)"),
        (float("nan"), "no molecule (nan)"),
        (3, "not a SMILES but a value of type int"),
        ("C(C)(C)(C)(C)C", "RDKit"),
        ("c1ccc", "RDKit"),
        ("C\0C", "(U+0000)"),
        ("Xx", "RDKit"),
        ("C(" * 3000, "RDKit"),
        ("(" * 100_000, "RDKit"),
        ("CC>>CO", "RDKit"),
        ("日本", "this SMILES has the character '日' (U+65E5)"),
        ("CO²", "this SMILES has the character '²' (U+00B2)"),
        ("CO\u00a0²", "this SMILES has the character '\\xa0' (U+00A0)"),
        ("CO\nN", "this SMILES has the character '\\n' (U+000A)"),
        ("éC", "this SMILES has the character 'é' (U+00E9)"),
        ("C\u200bO", "this SMILES has the character '\\u200b' (U+200B)"),
        ("\ufeff \u200b", "empty"),
        ("\ud800", "this SMILES has the character '\\ud800' (U+D800)"),
        ("C \ud800", "not UTF-8"),
    ],
    ids=lambda value: repr(value)[:12],
)
def test_what_cannot_be_read_is_refused_silently(text, reason, capfd):
    refusal = smiles_to_table(["C", text, "C"])
    assert isinstance(refusal, Refusal)
    assert refusal.position == 1
    assert reason in refusal.reason
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_the_encoders_of_networks_take_these_features():
    # The processes that read molecules import this module without torch, so the numbers are written in both places.
    assert AtomEncoder(4).cardinalities == tuple(ATOM_CARDINALITIES)
    assert BondEncoder(4).cardinalities == tuple(BOND_CARDINALITIES)


@pytest.mark.parametrize(
    ("smiles", "told"),
    [
        ("CC(C)(C)(C)C", " (C1, counted from 0, has too many bonds)"),
        ("c1ccnc1", " (no double bonds fit its aromatic ring; is an [nH] missing?)"),
        ("c1cccc1", " (no double bonds fit its aromatic ring)"),
        ("c1csccc1", " (no double bonds fit its aromatic ring)"),
        ("CN=Cc1csccc1", " (no double bonds fit its aromatic ring)"),
        ("[nH]1ccccc1", " (no double bonds fit its aromatic ring)"),
        ("CCc", " (C2, counted from 0, is aromatic and in no ring)"),
        ("C1CC", " (ring 1 is not closed)"),
        ("C1CC2CC1", " (ring 2 is not closed)"),
        ("C%12CC", " (ring 12 is not closed)"),
        ("C%(123)CC%(12)C%(123)", " (ring 12 is not closed)"),
        ("[13CH3]C1CC", " (ring 1 is not closed)"),
        ("[13CH3]CCX", ""),
        ("aspirin", ""),
        ("C(", " (the bracket ( is not closed)"),
        ("CC)C", " (the bracket ) closes nothing)"),
        ("C)C(", " (the bracket ) closes nothing)"),
        ("C[NH3+", " (the bracket [ is not closed)"),
        ("CNH3+]", " (the bracket ] closes nothing)"),
    ],
)
def test_what_is_wrong_with_a_smiles_is_told_where_rdkit_knows_it(smiles, told):
    assert parse_smiles(smiles) == f"RDKit cannot read this SMILES{told}"
