import random

import pytest
from rdkit import Chem

from pyg_samsa.chem.peptide_sequences import AMINO_ACIDS, sequence_to_smiles
from pyg_samsa.errors import SmilesError


def rdkits(sequence, flavor=0):
    return Chem.CanonSmiles(Chem.MolToSmiles(Chem.MolFromSequence(sequence, flavor=flavor)))


@pytest.mark.parametrize("letter", AMINO_ACIDS)
@pytest.mark.parametrize("frame", ["{}", "G{}A", "{0}{0}"])
def test_residues_are_rdkits(letter, frame):
    sequence = frame.format(letter)
    assert Chem.CanonSmiles(sequence_to_smiles(sequence)) == rdkits(sequence)
    mirrored = Chem.CanonSmiles(sequence_to_smiles(sequence.lower(), lower_case_is_d=True))
    assert mirrored == rdkits(sequence.lower(), flavor=1)
    assert (mirrored != rdkits(sequence)) == (set(sequence) != {"G"})


def test_random_peptides_are_rdkits():
    rng = random.Random(0)
    for _ in range(60):
        sequence = "".join(rng.choices(AMINO_ACIDS, k=rng.randint(1, 60)))
        assert Chem.CanonSmiles(sequence_to_smiles(sequence)) == rdkits(sequence)
        assert Chem.CanonSmiles(sequence_to_smiles(sequence.lower(), lower_case_is_d=True)) == rdkits(
            sequence.lower(), flavor=1
        )


def test_20_letters():
    assert AMINO_ACIDS == "ACDEFGHIKLMNPQRSTVWY"


@pytest.mark.parametrize("letter", [*"BJOUXZ*- 1.", "é", "\n"])
@pytest.mark.parametrize("lower_case_is_d", [False, True])
def test_other_letters_are_refused_with_their_place(letter, lower_case_is_d):
    with pytest.raises(SmilesError, match=r"row 7: letter .* at position 3") as caught:
        sequence_to_smiles(f"GA{letter}K", row=7, lower_case_is_d=lower_case_is_d)
    assert caught.value.row == 7


def test_small_letters_are_refused_with_the_cure():
    with pytest.raises(SmilesError, match="lower_case_is_d"):
        sequence_to_smiles("GAk")


@pytest.mark.parametrize("sequence", ["", None, 3])
def test_nothing(sequence):
    with pytest.raises(SmilesError, match="empty"):
        sequence_to_smiles(sequence)


def test_fasta_is_named():
    with pytest.raises(SmilesError, match="this is FASTA") as caught:
        sequence_to_smiles(">pep1\nGIGK")
    assert "without the line" in caught.value.hint
