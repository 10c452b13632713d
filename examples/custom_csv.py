"""Train on a CSV file of your own molecules, predict, and write a report. About a minute on one core, no download.

By default the table is a library of amides, every acid coupled with every amine, and the targets are the logP and the
polar surface area that RDKit computes. Use another table with --csv and --targets. The same without Python:
`pyg-samsa train --csv`.
"""

import argparse
import csv
import json
from itertools import product
from pathlib import Path

import pandas as pd
from rdkit import Chem
from rdkit.Chem.Crippen import MolLogP
from rdkit.Chem.rdMolDescriptors import CalcTPSA

from pyg_samsa.experiments.run import run
from pyg_samsa.predict import MoleculePredictor
from pyg_samsa.training.run_record import read_run
from pyg_samsa.viz.report import write_report

ACYLS = "CC(=O) CC(C)(C)C(=O) C1CC1C(=O) OCC(=O) CCCCCC(=O) O1CCC1C(=O) c1ccccc1C(=O) Clc1ccc(cc1)C(=O)"
ACYLS += " COc1ccc(cc1)C(=O) N#Cc1ccc(cc1)C(=O) c1ccncc1C(=O) c1ccsc1C(=O) c1ccoc1C(=O) c1ccccc1CC(=O)"
ACYLS += " CS(=O)(=O)c1ccc(cc1)C(=O) FC(F)(F)c1ccc(cc1)C(=O)"
AMINES = "N NC N(C)C NCC#C NC1CC1 NC1CCCCC1 N1CCCC1 N1CCOCC1 N1CCN(C)CC1 NCCO NCCOC NCC(=O)O NC(C)C(=O)N NC(C)(C)C"
AMINES += " Nc1ccccc1 Nc1ccc(F)cc1 Nc1ccc(O)cc1 Nc1cccc(Br)c1 Nc1ccncc1 Nc1nccs1 NCc1ccccc1 NCCc1ccccc1"
AMINES += " NCc1ccco1 NCCc1c[nH]c2ccccc12"
NEW = {
    "paracetamol": "CC(=O)Nc1ccc(O)cc1",
    "moclobemide": "O=C(NCCN1CCOCC1)c1ccc(Cl)cc1",
    "mistyped": "CC(=O)Nc1ccc(O)cc",
}


def write_amides(path: Path, limit: int) -> None:
    """Write a table of amides; every fifth has no surface area, because real tables have missing values."""
    pairs = list(product(ACYLS.split(), AMINES.split()))
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["smiles", "logP", "TPSA"])
        for number, (acyl, amine) in enumerate(pairs[:: max(1, len(pairs) // limit)][:limit]):
            mol = Chem.MolFromSmiles(acyl + amine)
            table.writerow(
                [Chem.MolToSmiles(mol), f"{MolLogP(mol):.3f}", "" if number % 5 == 0 else f"{CalcTPSA(mol):.1f}"]
            )


def main(
    out: str = "results/amides",
    table: str = "",
    targets: tuple[str, ...] = ("logP", "TPSA"),
    limit: int = 384,
    epochs: int = 30,
    layers: int = 2,
) -> pd.DataFrame:
    """Train, predict and write a report; return the test error of each target, and that of the mean as a prediction."""
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    if not table:
        table = str(folder / "amides.csv")
        write_amides(Path(table), limit)

    # Overrides for the packaged config csv.yaml.
    settings = {
        "dataset.csv": table,
        "dataset.target_columns": json.dumps(list(targets)),
        "dataset.dir": str(folder / "datasets"),
        "out_dir": str(folder / "results"),
        "run_name": Path(table).stem,
        "samsa.layers": str(layers),
        "samsa.channels": "32",
        "optim.max_epoch": str(epochs),
        "num_threads": "1",
    }
    (result,) = run("csv", [word for setting in settings.items() for word in setting])

    tested = pd.read_csv(result.folder.path / "predictions_test.csv")
    predictor = MoleculePredictor.from_pretrained(result.folder.path)
    rows = {}
    for name in targets:
        true = tested[f"{name}_true"]
        rows[name] = {
            "MAE": (true - tested[f"{name}_pred"]).abs().mean(),
            "MAE of the mean": (true - true.mean()).abs().mean(),
        }
    errors = pd.DataFrame.from_dict(rows, orient="index")
    print(f"\nOn the {len(tested)} molecules of the test split:\n{errors.round(3)}")

    new = predictor.predict_frame(list(NEW.values()))
    new.insert(0, "name", list(NEW))
    new.to_csv(folder / "predicted.csv", index=False)
    print(f"\n{new.to_string(index=False, na_rep='', float_format='{:.2f}'.format)}")
    print(f"\n{write_report([read_run(result.folder.path)], folder / 'report.html')}")
    return errors


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--csv", dest="table", default="", metavar="FILE", help="table with SMILES (default: the amides)"
    )
    parser.add_argument("--targets", nargs="+", default=("logP", "TPSA"), metavar="T", help="columns to predict")
    parser.add_argument("--epochs", type=int, default=30, help="number of epochs")
    parser.add_argument("--out", default="results/amides", metavar="DIR", help="folder for all results")
    main(**vars(parser.parse_args()))
