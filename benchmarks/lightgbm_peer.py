"""``python -m benchmarks.lightgbm_peer``: RDKit descriptors and LightGBM with its defaults, on one table.

It fits one model per target to the training rows, without tuning, and writes predictions for all rows. Nothing of
pyg_samsa is used.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np


def descriptors(smiles: list[str], *, morgan: bool) -> np.ndarray:
    """Return RDKit's 2D descriptors of molecules, float64 [G, F]; NaN where they are not finite.

    Args:
        smiles: G molecules that RDKit can read.
        morgan: Whether to append counts of Morgan fragments of radius 2, folded to 2,048.
    """
    from rdkit import Chem, rdBase
    from rdkit.Chem.Descriptors import CalcMolDescriptors
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    rows = []
    generator = GetMorganGenerator(radius=2, fpSize=2048)
    with rdBase.BlockLogs():
        for text in smiles:
            molecule = Chem.MolFromSmiles(text)
            row = np.array(list(CalcMolDescriptors(molecule).values()), dtype=np.float64)
            rows.append(np.concatenate([row, generator.GetCountFingerprintAsNumPy(molecule)]) if morgan else row)
    out = np.array(rows)
    out[~np.isfinite(out)] = np.nan
    return out


def fit_predict(
    x: np.ndarray, y: np.ndarray, train: np.ndarray, *, labels: bool, seed: int, threads: int
) -> np.ndarray:
    """Fit one model per target to the labelled training rows, and predict all rows.

    Args:
        x: Descriptors [G, F].
        y: Targets [G, C]; NaN where missing.
        train: Whether a row is a training row, bool [G].
        labels: Whether the targets are 0 and 1; then probabilities are returned.
        seed: Seed of LightGBM.
        threads: Number of threads.

    Shapes:
        - **output:** float64 [G, C]
    """
    from lightgbm import LGBMClassifier, LGBMRegressor

    out = np.zeros(y.shape)
    for target in range(y.shape[1]):
        rows = train & ~np.isnan(y[:, target])
        known = y[rows, target]
        if len(np.unique(known)) < 2:
            out[:, target] = known[0] if len(known) else 0.0
            continue
        build = LGBMClassifier if labels else LGBMRegressor
        model = build(random_state=seed, n_jobs=threads, verbose=-1).fit(x[rows], known)
        out[:, target] = np.asarray(model.predict_proba(x))[:, 1] if labels else np.asarray(model.predict(x))
    return out


def main(argv: list[str] | None = None) -> int:
    """Read a table, fit, and write the predictions."""
    import pandas as pd

    parser = argparse.ArgumentParser(prog="python -m benchmarks.lightgbm_peer", description=__doc__)
    parser.add_argument("table", help="table with SMILES, targets and a split column of train, val and test")
    parser.add_argument("out", help="file of the predictions, a row per row of the table")
    parser.add_argument("--smiles-column", required=True, help="column of SMILES")
    parser.add_argument("--target-columns", nargs="+", required=True, help="columns of targets")
    parser.add_argument("--split-column", required=True, help="column of the split")
    parser.add_argument("--labels", action="store_true", help="the targets are 0 and 1")
    parser.add_argument("--morgan", action="store_true", help="also count Morgan fragments")
    parser.add_argument("--fit-validation", action="store_true", help="fit to training and validation rows")
    parser.add_argument("--seed", type=int, default=0, help="seed of LightGBM (default: 0)")
    parser.add_argument("--threads", type=int, default=1, help="threads of LightGBM (default: 1)")
    args = parser.parse_args(argv)
    table = pd.read_csv(args.table, dtype={args.smiles_column: str})
    x = descriptors(table[args.smiles_column].tolist(), morgan=args.morgan)
    y = table[args.target_columns].to_numpy(np.float64)
    train = table[args.split_column].isin(["train", "val"] if args.fit_validation else ["train"]).to_numpy()
    predicted = fit_predict(x, y, train, labels=args.labels, seed=args.seed, threads=args.threads)
    pd.DataFrame(predicted, columns=args.target_columns).to_csv(args.out, index=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
