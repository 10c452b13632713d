"""Explain the prediction for a peptide with six methods, by residue. Takes seconds on one core, no download.

By default the peptide is magainin 2, from the skin of the African clawed frog, and the prediction is that of the label
antimicrobial by the model that comes with the package. The example writes pictures and an HTML page.
"""

import argparse
from pathlib import Path

import pandas as pd

from pyg_samsa.chem import sequence_to_data, sequence_to_smiles
from pyg_samsa.explain import METHODS, token_importance
from pyg_samsa.explain.molecule_explanation import explain_molecules
from pyg_samsa.explain.page import make_card, write_page
from pyg_samsa.predict import MoleculePredictor

MAGAININ = "GIGKFLHSAKKFGKAFVGEIMNS"


def residues(sequence: str) -> list[str]:
    """Return the residue of each atom: atoms follow the backbone, and the last one is the oxygen of the C-terminus."""
    atoms = []
    for place, letter in enumerate(sequence, start=1):
        atoms += [f"{letter}{place}"] * (sequence_to_data(letter).num_nodes - 1)
    return [*atoms, atoms[-1]]


def by_residue(sequence: str, importance) -> pd.Series:
    """Sum the scores of atoms and bonds over residues; a bond between two residues counts half for each."""
    of = residues(sequence)
    total = dict.fromkeys(of, 0.0)
    for atom, score in zip(of, importance.node.tolist(), strict=True):
        total[atom] += score
    for (a, b), score in zip(importance.bond_index.T.tolist(), importance.bond.tolist(), strict=True):
        total[of[a]] += score / 2
        total[of[b]] += score / 2
    return pd.Series(total)


def main(
    out: str = "results/explain_peptide",
    sequence: str = MAGAININ,
    target: str = "antimicrobial",
    model: str = "peptides",
) -> pd.DataFrame:
    """Explain the peptide, write pictures and a page to ``out``, and return the scores [residues, methods]."""
    predictor = MoleculePredictor.from_network(model)
    column = predictor.target_names.index(target)
    graph = sequence_to_data(sequence)
    scores = {
        method: by_residue(sequence, token_importance(predictor.model, graph, method, target=column)[0])
        for method in METHODS
    }
    table = pd.DataFrame(scores)
    print(f"{sequence}: {graph.num_nodes} atoms, {graph.num_edges // 2} bonds")
    print(table.to_string(float_format="{:.3f}".format))
    ranks = table.corr(method="spearman")["occlusion"].drop("occlusion")
    print("\nRank correlation with occlusion, the change of the prediction if tokens are removed one by one:")
    print(ranks.to_string(float_format="{:.2f}".format))

    # The pictures and the page show atoms and bonds.
    peptide = (sequence if len(sequence) <= 40 else f"{sequence[:37]}...", sequence_to_smiles(sequence))
    (found,) = explain_molecules(predictor.model, predictor.task, [peptide], target=target)
    for method in found.importance:
        for ending in ("svg", "png"):
            found.draw(method).save(Path(out) / f"{method}.{ending}")
    page = write_page(
        [make_card(found, 0)], Path(out) / "index.html", title=f"Explanation of {target}", kind=found.kind
    )
    print(f"\n{target}: {found.predictions[target]:.3f}; see {page}")
    return table


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sequence", nargs="?", default=MAGAININ, help="one-letter codes of the 20 amino acids")
    parser.add_argument("--target", default="antimicrobial", help="antimicrobial, anticancer or transmembrane")
    parser.add_argument("--model", default="peptides", metavar="MODEL", help="folder of a saved model or of a run")
    parser.add_argument(
        "--out", default="results/explain_peptide", metavar="DIR", help="folder for the pictures and the page"
    )
    main(**vars(parser.parse_args()))
