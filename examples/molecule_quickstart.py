"""Predict and explain molecules with the model that comes with the package. Takes seconds on one core, no download."""

import argparse
from pathlib import Path

import pandas as pd

from pyg_samsa.explain.molecule_explanation import explain_molecules
from pyg_samsa.predict import MoleculePredictor

# The model was trained on linear peptides of 7 to 26 residues; its predictions for other molecules are meaningless.
MOLECULES = {
    "anoplin, from wasp venom": "NCC(=O)N[C@@H](CC(C)C)C(=O)N[C@@H](CC(C)C)C(=O)N[C@@H](CCCCN)C(=O)"
    "N[C@@H](CCCNC(=N)N)C(=O)N[C@@H]([C@@H](C)CC)C(=O)N[C@@H](CCCCN)C(=O)N[C@@H]([C@@H](C)O)C(=O)N[C@@H](CC(C)C)C(=O)N[C@@H](CC(C)C)C(=O)O",
    "angiotensin II, a hormone": "N[C@@H](CC(=O)O)C(=O)N[C@@H](CCCNC(=N)N)C(=O)N[C@@H](C(C)C)C(=O)"
    "N[C@@H](Cc1ccc(O)cc1)C(=O)N[C@@H]([C@@H](C)CC)C(=O)N[C@@H](Cc1c[nH]cn1)C(=O)N1CCC[C@H]1C(=O)N[C@@H](Cc1ccccc1)C(=O)O",
    "a typing error": "NCC(=O)N[C@@H](CC(C)C",
}


def main(out: str = "results/molecule_quickstart") -> pd.DataFrame:
    """Predict, draw the most likely antimicrobial molecule into the folder ``out``, and return the predictions."""
    predictor = MoleculePredictor.from_pretrained("peptides")
    print(predictor)
    table = predictor.predict_frame(list(MOLECULES.values()))
    table.insert(0, "name", list(MOLECULES))
    print(table.drop(columns="smiles").to_string(index=False, na_rep="", float_format="{:.3f}".format))

    first = table.loc[table["antimicrobial"].idxmax()]
    (found,) = explain_molecules(
        predictor.model, predictor.task, [(first["name"], first["smiles"])], target="antimicrobial"
    )
    tokens = found.to_frame().sort_values("occlusion", ascending=False)
    print(f"\nLargest fall of the logit 'antimicrobial' of {found.name} if a token is removed:")
    print(
        tokens.head(5)[["token", "atom", "to_atom", "symbol", "occlusion"]].to_string(
            index=False, float_format="{:.3f}".format
        )
    )
    for ending in ("svg", "png"):
        print(found.draw("occlusion").save(Path(out) / f"occlusion.{ending}"))
    return table


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="results/molecule_quickstart", metavar="DIR", help="folder for the picture")
    main(**vars(parser.parse_args()))
