"""Peptide letters to SMILES."""

from __future__ import annotations

from pyg_samsa.errors import SmilesError

_SIDE_CHAINS = {
    "A": "C",
    "C": "CS",
    "D": "CC(=O)O",
    "E": "CCC(=O)O",
    "F": "Cc1ccccc1",
    "H": "Cc1c[nH]cn1",
    "I": "[C@@H](C)CC",
    "K": "CCCCN",
    "L": "CC(C)C",
    "M": "CCSC",
    "N": "CC(N)=O",
    "Q": "CCC(N)=O",
    "R": "CCCNC(=N)N",
    "S": "CO",
    "T": "[C@@H](C)O",
    "V": "C(C)C",
    "W": "Cc1c[nH]c2ccccc12",
    "Y": "Cc1ccc(O)cc1",
}
AMINO_ACIDS = "".join(sorted({*_SIDE_CHAINS, "G", "P"}))
"""The 20 one-letter codes."""


def _residue(letter: str) -> str:
    if letter == "G":
        return "NCC(=O)"
    if letter == "P":
        return "N1CCC[C@H]1C(=O)"
    return f"N[C@@H]({_SIDE_CHAINS[letter]})C(=O)"


def _mirror(smiles: str) -> str:
    return smiles.replace("@@", "\0").replace("@", "@@").replace("\0", "@")


_RESIDUES = {letter: _residue(letter) for letter in AMINO_ACIDS}


def sequence_to_smiles(sequence: str, *, row: int | None = None, lower_case_is_d: bool = False) -> str:
    """Write a peptide as SMILES: a linear chain in neutral form, free amine at the start, free acid at the end.

    The same molecule as RDKit's ``MolFromSequence``, with atoms that run along the backbone. Letters know nothing of
    disulfide bridges, cycles, amidated ends or modified residues, and so does the result.

    Args:
        sequence: One-letter codes of the 20 amino acids in capital letters (no B, J, O, U, X, Z).
        row: Row of the file, for the error.
        lower_case_is_d: Read small letters as D-amino acids (mirror images), as peptide databases write them; otherwise
            they are refused, because other files write small letters for other reasons.

    Raises:
        SmilesError: The sequence is empty, or a letter is not one of the 20 amino acids.

    Example:
        >>> sequence_to_smiles("GA"), sequence_to_smiles("Ga", lower_case_is_d=True)
        ('NCC(=O)N[C@@H](C)C(=O)O', 'NCC(=O)N[C@H](C)C(=O)O')

    Cost: O(residues), no RDKit.
    """
    if not isinstance(sequence, str) or not sequence:
        raise SmilesError(row, str(sequence), "empty peptide sequence")
    if sequence.lstrip().startswith(">"):
        hint = "Pass the letters alone, without the line that begins with '>'."
        raise SmilesError(row, sequence, "this is FASTA, not a sequence of letters", hint=hint)
    parts = []
    for position, letter in enumerate(sequence, start=1):
        if letter in _RESIDUES:
            parts.append(_RESIDUES[letter])
        elif lower_case_is_d and letter.upper() in _RESIDUES:
            parts.append(_mirror(_RESIDUES[letter.upper()]))
        else:
            small = "; lower_case_is_d=True reads it as a D-amino acid" if letter.upper() in _RESIDUES else ""
            raise SmilesError(
                row, sequence, f"letter {letter!r} at position {position} is not one of the 20 amino acids{small}"
            )
    return "".join(parts) + "O"
