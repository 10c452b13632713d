"""2D coordinates for long chains: rows that run alternately right and left, to fit on a page."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pyg_samsa.chem.ogb_features import import_rdkit

_BOND = 1.5  # Å, as RDKit draws
_STEP = _BOND * math.sin(math.radians(60))
_RISE = _BOND * math.cos(math.radians(60))
_LONG = 15  # atoms; shorter chains are not folded
_WIDEST = 58.0  # Å
_ROW = 11.0  # Å; approximate height of a row with its side chains
_ASPECT = 2.3
_ROOM = 2.5  # Å between atoms of two rows
_MOST_OF_ROW = 400  # atoms of a row with its side chains, or of another fragment: their layout takes cubic time


def fold_chain(mol: Any) -> bool:
    """Lay out a molecule with a long chain in rows; other molecules are not changed.

    The longest path through the molecule becomes a regular zigzag (straight along rings and cis double bonds), cut at
    single bonds, in peptides at amide bonds. Every second row runs backwards, so that the long bond between two rows is
    vertical. Disulfide bridges are long straight lines.

    Args:
        mol: RDKit molecule, which gets the coordinates.

    Returns:
        Whether the molecule was laid out.

    Example:
        >>> from rdkit import Chem
        >>> fold_chain(Chem.MolFromSmiles("NCC(=O)" * 30 + "O")), fold_chain(Chem.MolFromSmiles("c1ccccc1"))
        (True, False)

    Cost: linear in the number of atoms; about 20 ms for a peptide of 20 residues.
    """
    chem = import_rdkit()
    whole, mol = mol, _without_bridges(mol)
    groups = chem.GetMolFrags(mol)
    largest = max(groups, key=len, default=())
    path = _longest_path(mol, largest)
    flat = _flat_steps(mol, path)
    if len(path) < _LONG or flat is None:
        return False
    places: np.ndarray = np.zeros((mol.GetNumAtoms(), 2))
    done: list[int] = []
    rows = _cut(mol, path, flat)
    parts = _split(mol, rows)
    others = [group for group in groups if group != largest]
    if max(map(len, [*others, *(atoms for atoms, _ in parts)])) > _MOST_OF_ROW:
        return False
    for number, row in enumerate(rows):
        atoms, part = parts[number]
        spots = _lay_row(mol, atoms, part, rows, number, flat)
        if number % 2:
            spots[:, 0] *= -1
        first = spots[atoms.index(row[0])]
        spots[:, 0] += (places[rows[number - 1][-1], 0] if number else 0.0) - first[0]
        if number:
            spots[:, 1] -= _lift(places[done], spots)
        places[atoms] = spots
        done += atoms
    _lay_others(mol, others, places, done)
    conformer = chem.Conformer(mol.GetNumAtoms())
    conformer.Set3D(False)
    for atom, (x, y) in enumerate(places.tolist()):
        conformer.SetAtomPosition(atom, (x, y, 0.0))
    whole.RemoveAllConformers()
    whole.AddConformer(conformer)
    return True


def _without_bridges(mol: Any) -> Any:
    """Return a copy without disulfide bridges, so that they do not shape the chain."""
    chem = import_rdkit()
    copy = chem.RWMol(mol)
    for bond in mol.GetBonds():
        if bond.IsInRing() and bond.GetBeginAtom().GetAtomicNum() == bond.GetEndAtom().GetAtomicNum() == 16:
            copy.RemoveBond(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())
    copy.UpdatePropertyCache(strict=False)
    chem.FastFindRings(copy)
    return copy.GetMol()


def _longest_path(mol: Any, atoms: Sequence[int]) -> list[int]:
    """Return the longest of all shortest paths outside aromatic rings, without rings at its ends.

    It is empty if the fragment is much longer than this path, because then aromatic rings are links of the chain.
    """
    if len(atoms) < _LONG:
        return []
    inside = set(atoms)
    bonds: list[list[int]] = [[] for _ in range(mol.GetNumAtoms())]
    open_bonds: list[list[int]] = [[] for _ in range(mol.GetNumAtoms())]
    for bond in mol.GetBonds():
        begin, end = bond.GetBeginAtom(), bond.GetEndAtom()
        if begin.GetIdx() not in inside:
            continue
        found = (bonds,) if begin.GetIsAromatic() or end.GetIsAromatic() else (bonds, open_bonds)
        for neighbours in found:
            neighbours[begin.GetIdx()].append(end.GetIdx())
            neighbours[end.GetIdx()].append(begin.GetIdx())
    path = _widest(open_bonds, atoms)
    if not len(path) - 1 > 0.75 * (len(_widest(bonds, atoms)) - 1):
        return []
    while path and mol.GetAtomWithIdx(path[0]).IsInRing():
        path.pop(0)
    while path and mol.GetAtomWithIdx(path[-1]).IsInRing():
        path.pop()
    return path


def _widest(neighbours: Sequence[Sequence[int]], atoms: Sequence[int]) -> list[int]:
    """Return the longest of all shortest paths: exact for trees, and at most a few atoms shorter where there are rings.

    The atom that is farthest from any other is an end of it, so a few searches find it; a matrix of all distances
    would take cubic time. Of paths of one length it is one with small numbers at its ends.
    """
    best: list[int] = []
    seen: set[int] = set()
    for start in atoms:
        if start in seen:
            continue
        found = _search(neighbours, start)
        seen |= found.keys()
        length, first = 0, _farthest(found)
        while True:
            found = _search(neighbours, first)
            last = _farthest(found)
            if found[last][0] <= length:
                break
            length, first = found[last][0], last
        if length + 1 > len(best):
            best = [last]
            while best[-1] != first:
                best.append(found[best[-1]][1])
    return best if not best or best[0] <= best[-1] else best[::-1]


def _search(neighbours: Sequence[Sequence[int]], start: int) -> dict[int, tuple[int, int]]:
    """Return for each atom that can be reached from ``start`` the number of steps and the atom before it."""
    found = {start: (0, start)}
    queue = [start]
    for atom in queue:
        for other in neighbours[atom]:
            if other not in found:
                found[other] = (found[atom][0] + 1, atom)
                queue.append(other)
    return found


def _farthest(found: Mapping[int, tuple[int, int]]) -> int:
    return max(found, key=lambda atom: (found[atom][0], -atom))


def _flat_steps(mol: Any, path: Sequence[int]) -> list[bool] | None:
    """Return for each step of a path whether it is horizontal; None if a zigzag would be wrong, as for sp atoms."""
    chem = import_rdkit()
    cis = chem.BondStereo.STEREOZ, chem.BondStereo.STEREOCIS
    trans = chem.BondStereo.STEREOE, chem.BondStereo.STEREOTRANS
    flat: list[bool] = []
    for place, (first, second) in enumerate(itertools.pairwise(path)):
        bond = mol.GetBondBetweenAtoms(first, second)
        atoms = bond.GetBeginAtom(), bond.GetEndAtom()
        if bond.GetBondType() == chem.BondType.TRIPLE or any(
            atom.GetHybridization() == chem.HybridizationType.SP for atom in atoms
        ):
            return None
        level = bond.IsInRing()
        if level and flat and flat[-1]:
            return None
        if bond.GetStereo() in (*cis, *trans):
            if not 0 < place < len(path) - 2:
                return None
            others = {path[place - 1], path[place + 2]} - set(bond.GetStereoAtoms())
            level = (bond.GetStereo() in cis) == (len(others) % 2 == 0)
        flat.append(level)
    return flat


def _cut(mol: Any, path: list[int], flat: Sequence[bool]) -> list[list[int]]:
    """Cut a path into rows of about the same length."""
    chem = import_rdkit()
    length = _STEP * len(path)
    count = next(
        count for count in range(1, len(path)) if length / count <= _WIDEST and length / count <= _ASPECT * _ROW * count
    )
    amide = chem.MolFromSmarts("[NX3]-C(=O)")
    bonds = {frozenset(match[:2]) for match in mol.GetSubstructMatches(amide, maxMatches=len(path) * 4)}
    stereo = {
        atom
        for bond in mol.GetBonds()
        if bond.GetStereo() != chem.BondStereo.STEREONONE
        for atom in (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())
    }
    free = []
    for place in range(1, len(path)):
        bond = mol.GetBondBetweenAtoms(path[place - 1], path[place])
        if (
            bond.GetBondType() == chem.BondType.SINGLE
            and not bond.IsInRing()
            and not stereo & {path[place - 1], path[place]}
        ):
            free.append(place)
    # Rows of whole pairs of residues look alike, so that their ends are aligned.
    size = 6 * math.ceil(len(path) / count / 6) if count > 1 else len(path)
    rows: list[list[int]] = []
    start = 0
    while len(path) - start > 1.15 * size:
        aim = start + size
        # A row that begins high should end low: the bond to the next row then has the usual direction.
        options = [
            (
                frozenset(path[place - 1 : place + 1]) not in bonds,
                any(mol.GetAtomWithIdx(atom).IsInRing() for atom in path[place - 1 : place + 1]),
                start > 0 and sum(not level for level in flat[start : place - 1]) % 2 == 0,
                abs(place - aim),
                place,
            )
            for place in free
            if start + 2 < place < len(path) - 2 and abs(place - aim) <= 9
        ]
        if not options:
            break
        rows.append(path[start : min(options)[-1]])
        start = min(options)[-1]
    return [*rows, path[start:]]


def _split(mol: Any, rows: Sequence[Sequence[int]]) -> list[tuple[list[int], Any]]:
    """Cut the bonds between rows; return the atoms of each row with its side chains, and their molecule."""
    chem = import_rdkit()
    editable = chem.RWMol(mol)
    for above, below in itertools.pairwise(rows):
        editable.RemoveBond(above[-1], below[0])
    groups: list[tuple[int, ...]] = []
    parts = chem.GetMolFrags(editable.GetMol(), asMols=True, sanitizeFrags=False, fragsMolAtomMapping=groups)
    owner = {atom: number for number, group in enumerate(groups) for atom in group}
    found = []
    for row in rows:
        part = parts[owner[row[0]]]
        part.UpdatePropertyCache(strict=False)
        chem.FastFindRings(part)
        found.append((list(groups[owner[row[0]]]), part))
    return found


def _lay_row(
    mol: Any, atoms: list[int], part: Any, rows: Sequence[Sequence[int]], number: int, flat: Sequence[bool]
) -> np.ndarray:
    """Return the positions of a row with its side chains if it runs from left to right."""
    from rdkit.Chem import rdDepictor
    from rdkit.Geometry import Point2D

    row = rows[number]
    start = sum(len(other) for other in rows[:number])
    steps = flat[start : start + len(row) - 1]
    # The first row begins high or low so that it ends low.
    high = bool(number) or sum(not level for level in steps) % 2 == 1
    x, given = 0.0, {}
    for place, atom in enumerate(row):
        if place:
            x += _BOND if steps[place - 1] else _STEP
            high = high if steps[place - 1] else not high
        given[atoms.index(atom)] = Point2D(x, _RISE if high else 0.0)
    if number + 1 < len(rows):
        last = mol.GetAtomWithIdx(row[-1])
        branches = [
            other.GetIdx() for other in last.GetNeighbors() if other.GetIdx() not in (row[-2], rows[number + 1][0])
        ]
        if len(branches) == 1 and not last.IsInRing():
            # It takes the place of the next zigzag atom, away from the bond to the next row.
            given[atoms.index(branches[0])] = Point2D(x + _STEP, 0.0 if high else _RISE)
    rdDepictor.Compute2DCoords(part, canonOrient=False, coordMap=given)
    return part.GetConformer().GetPositions()[:, :2].copy()


def _lift(above: np.ndarray, below: np.ndarray) -> float:
    """Return how far a row must move down to keep its atoms apart from those above."""
    near = np.abs(above[:, None, 0] - below[None, :, 0]) < _ROOM
    gaps = np.where(near, below[None, :, 1] - above[:, None, 1], -np.inf)
    return float(gaps.max()) + _ROOM


def _lay_others(mol: Any, groups: Sequence[Sequence[int]], places: np.ndarray, done: Sequence[int]) -> None:
    """Place other fragments, such as counter-ions, side by side below the chain."""
    chem = import_rdkit()
    from rdkit.Chem import rdDepictor

    right, floor = float(places[list(done), 0].min()), float(places[list(done), 1].min()) - 2 * _ROOM
    found: list[tuple[int, ...]] = []
    parts = chem.GetMolFrags(mol, asMols=True, sanitizeFrags=False, fragsMolAtomMapping=found)
    for part, atoms in zip(parts, found, strict=True):
        if atoms in groups:
            rdDepictor.Compute2DCoords(part)
            spots = part.GetConformer().GetPositions()[:, :2]
            places[list(atoms)] = spots - [spots[:, 0].min() - right, spots[:, 1].max() - floor]
            right += float(np.ptp(spots[:, 0])) + 2 * _ROOM
