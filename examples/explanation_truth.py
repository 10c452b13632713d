"""Test explanations against a known ground truth, on fragments of peptides. Minutes per task on one core, no download.

A small network is trained on labels that a known substructure determines. Every method then ranks the atoms and bonds
of positive test molecules; the score is the area under the ROC curve, 1 for a perfect ranking and 0.5 for a random one.

phosphate  Fragments around a serine, half of them phosphorylated. Ground truth: atoms and bonds of the phosphate.
alkyne     Fragments around an alanine, half of them changed to propargylglycine. Ground truth: the triple bond and its
           two atoms. Hydrogens, degree and hybridisation are hidden, so that only the bond shows the label.
disulfide  Fragments between two cysteines, half of them joined by a disulfide bond. Ground truth: the two sulfurs and
           their bond. A network can instead detect the hydrogens of free sulfurs; then positive molecules hold nothing
           that it detects, and no explanation can match the ground truth.
"""

import argparse
import hashlib
import itertools
import time
from pathlib import Path

import torch
from rdkit import Chem
from torch_geometric.data import Batch, Data

from pyg_samsa.chem import ATOM_CARDINALITIES, BOND_CARDINALITIES, graph_arrays, sequence_to_smiles
from pyg_samsa.datasets.molecules.peptides import read_lists
from pyg_samsa.explain import METHODS, token_importance
from pyg_samsa.explain.truth import ranking, substructure_truth
from pyg_samsa.hub import save_pretrained
from pyg_samsa.nn import SAMSA
from pyg_samsa.task import Task

PATTERNS = {"phosphate": "OP(=O)(O)O", "alkyne": "C#C", "disulfide": "[SX2][SX2]"}
AROUND = {"phosphate": "S", "alkyne": "A"}
DEGREE, HYDROGENS, HYBRIDISATION, IN_RING = 2, 4, 6, 8
HIDDEN = {"phosphate": [], "alkyne": [DEGREE, HYDROGENS, HYBRIDISATION], "disulfide": [IN_RING]}
SIGNED = ("contribution", "occlusion", "gradient")


def fragments(task, shortest=4, longest=11):
    """Return parts of the embedded peptides: between two cysteines, or a residue with four on either side."""
    found = set()
    for sequence in read_lists():
        if task in AROUND:
            found |= {
                sequence[place - 4 : place + 5]
                for place, letter in enumerate(sequence[:-4])
                if letter == AROUND[task] and place >= 4
            }
            continue
        places = [place for place, letter in enumerate(sequence) if letter == "C"]
        found |= {
            sequence[max(0, a - 1) : b + 2] for a, b in itertools.pairwise(places) if shortest <= b - a + 1 <= longest
        }
    return sorted(found, key=share)


def share(text):
    """Return a number from 0 to 1 that depends only on the text."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2**32


def molecule(task, sequence):
    """Return the peptide, with the substructure added to about half of them."""
    mol = Chem.MolFromSmiles(sequence_to_smiles(sequence))
    if share(f"changed {sequence}") >= 0.5:
        return mol
    changed = Chem.RWMol(mol)
    if task == "disulfide":
        sulfurs = [match[0] for match in mol.GetSubstructMatches(Chem.MolFromSmarts("[SX2H]"))]
        changed.AddBond(sulfurs[0], sulfurs[-1], Chem.BondType.SINGLE)
    elif task == "phosphate":
        (hydroxyl, *_), *_ = mol.GetSubstructMatches(Chem.MolFromSmarts("[OH][CH2][CH1](N)C=O"))
        phosphorus = changed.AddAtom(Chem.Atom("P"))
        changed.AddBond(hydroxyl, phosphorus, Chem.BondType.SINGLE)
        for kind in (Chem.BondType.DOUBLE, Chem.BondType.SINGLE, Chem.BondType.SINGLE):
            changed.AddBond(phosphorus, changed.AddAtom(Chem.Atom("O")), kind)
    else:
        (methyl, *_), *_ = mol.GetSubstructMatches(Chem.MolFromSmarts("[CH3][CH1](N)C=O"))
        inner, outer = changed.AddAtom(Chem.Atom("C")), changed.AddAtom(Chem.Atom("C"))
        changed.AddBond(methyl, inner, Chem.BondType.SINGLE)
        changed.AddBond(inner, outer, Chem.BondType.TRIPLE)
    Chem.SanitizeMol(changed)
    return changed.GetMol()


def graph(task, mol):
    """Return the graph of a molecule without features that would reveal the label, such as ring membership."""
    x, edge_index, edge_attr = (torch.from_numpy(array).long() for array in graph_arrays(mol))
    x[:, HIDDEN[task]] = 0
    y = torch.tensor([float(mol.HasSubstructMatch(Chem.MolFromSmarts(PATTERNS[task])))])
    return Data(x=x, edge_index=edge_index, edge_attr=edge_attr, y=y)


def predict(model, graphs):
    batch = Batch.from_data_list(graphs)
    return model(batch.x, batch.edge_index, batch.edge_attr, batch.batch, batch_size=batch.num_graphs)[:, 0], batch.y


def train(model, graphs, epochs, batch_size=16, lr=4e-3):
    steps = epochs * -(-len(graphs) // batch_size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, steps, pct_start=0.1)
    model.train()
    for epoch in range(epochs):
        started, total = time.perf_counter(), 0.0
        for chosen in torch.randperm(len(graphs)).split(batch_size):
            output, y = predict(model, [graphs[number] for number in chosen.tolist()])
            loss = torch.nn.functional.binary_cross_entropy_with_logits(output, y)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
            optimizer.step()
            schedule.step()
            total += float(loss.detach()) * len(chosen)
        print(f"epoch {epoch + 1}: loss {total / len(graphs):.4f}, {time.perf_counter() - started:.0f} s", flush=True)
    model.eval()


@torch.no_grad()
def accuracy(model, graphs):
    right = sum(
        int(((output > 0) == (y > 0)).sum())
        for output, y in (predict(model, graphs[at : at + 64]) for at in range(0, len(graphs), 64))
    )
    return right / len(graphs)


def main(
    out: str = "", task: str = "phosphate", epochs: int = 4, limit: int = 3000, molecules: int = 200, seed: int = 0
) -> float:
    """Train, explain, print the mean area under the ROC curve of every method, and return that of ``occlusion``."""
    torch.manual_seed(seed)
    mols = {sequence: molecule(task, sequence) for sequence in fragments(task)[:limit]}
    train_set = [graph(task, mol) for sequence, mol in mols.items() if share(f"split {sequence}") < 0.8]
    test_mols = {sequence: mol for sequence, mol in mols.items() if share(f"split {sequence}") >= 0.8}
    test_set = [graph(task, mol) for mol in test_mols.values()]
    options = {"channels": 32, "num_layers": 2, "heads": 4, "num_samples": 16, "ffn_channels": 64, "dropout": 0.1}
    model = SAMSA.from_options(ATOM_CARDINALITIES, 1, edge_channels=BOND_CARDINALITIES, **options)
    print(f"{len(train_set)} training molecules, {len(test_set)} test molecules")
    train(model, train_set, epochs)
    print(f"test accuracy {accuracy(model, test_set):.3f}")
    if out:
        save_pretrained(model, Path(out) / task, task=Task("binary", [task]))
    changed = [(mol, data) for mol, data in zip(test_mols.values(), test_set, strict=True) if data.y > 0][:molecules]
    truth = [substructure_truth(mol, PATTERNS[task]) for mol, _ in changed]
    print(f"\n{len(changed):<4} molecules   atoms   bonds    both")
    table = {}
    for method in METHODS:
        found = token_importance(model, [data for _, data in changed], method)
        for absolute in (False, True) if method in SIGNED else (False,):
            name = f"|{method}|" if absolute else method
            ranks = [ranking(one, reason, absolute=absolute) for one, reason in zip(found, truth, strict=True)]
            table[name] = torch.tensor(ranks).mean(0).tolist()
            print(f"{name:<16} {table[name][0]:7.3f} {table[name][1]:7.3f} {table[name][2]:7.3f}", flush=True)
    return table["occlusion"][2]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=list(PATTERNS), default="phosphate", help="what the network must detect")
    parser.add_argument("--out", default="", metavar="DIR", help="folder to save the network in")
    parser.add_argument("--epochs", type=int, default=4, help="number of epochs")
    parser.add_argument("--molecules", type=int, default=200, help="number of test molecules to explain")
    parser.add_argument("--limit", type=int, default=3000, help="largest number of molecules")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and order")
    main(**vars(parser.parse_args()))
