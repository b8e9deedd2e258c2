"""Reference numbers for the metrics of a detector, from scikit-learn and scipy, and bootstrap intervals over whole runs from numpy.

Usage: python3 metrics.py   (writes metrics.json beside itself)
"""
import json
import os
import warnings

import numpy as np
from scipy.stats import spearmanr
from sklearn.metrics import (accuracy_score, confusion_matrix, mean_absolute_error, mean_squared_error, precision_score, r2_score,
                             roc_auc_score)

HERE = os.path.dirname(os.path.abspath(__file__))
warnings.simplefilter("ignore")


def metrics(truth, predicted, danger, flag):
    """Every metric by its name in C#; None where it is not defined."""
    dangerous, flagged = truth > danger, predicted > flag
    tn, fp, fn, tp = (int(v) for v in confusion_matrix(dangerous, flagged, labels=[False, True]).ravel())
    spearman = spearmanr(predicted, truth)[0]
    return {
        "FalseNegativeRate": fn / (fn + tp) if fn + tp else None,
        "FalsePositiveRate": fp / (fp + tn) if fp + tn else None,
        "Accuracy": accuracy_score(dangerous, flagged),
        "Precision": precision_score(dangerous, flagged) if tp + fp else None,
        "Auroc": roc_auc_score(dangerous, predicted) if 0 < tp + fn < len(truth) else None,
        "Spearman": None if np.isnan(spearman) else float(spearman),
        "MeanAbsoluteError": mean_absolute_error(truth, predicted),
        "RootMeanSquareError": float(np.sqrt(mean_squared_error(truth, predicted))),
        "RSquared": r2_score(truth, predicted) if np.ptp(truth) > 0 else None,
    }


def simulate(rng, runs, steps, digits):
    """Runs whose rate rises or stays; predictions with an error common to the run. Rounding makes ties."""
    rows = []
    for r in range(runs):
        top = rng.choice([0.01, 0.08, 0.3]) * rng.uniform(0.5, 1.5)
        common = rng.normal(0, 0.02)
        for s in range(1, steps + 1):
            truth = np.clip(top / (1 + np.exp(-(s - steps / 2))) + 0.01, 0, 1)
            guess = np.clip(truth + common + rng.normal(0, 0.02), 0, 1)
            rows.append((f"run_{r}", 10 * s, round(float(truth), digits), round(float(guess), digits)))
    return rows


def intervals(rows, danger, draws=4000):
    """Percentile intervals; every draw is built in full. R2 is left out: its lower end varies by a fifth of the width between seeds."""
    rng = np.random.default_rng(0)
    names = sorted({r[0] for r in rows})
    by_run = {n: np.array([r[2:] for r in rows if r[0] == n]) for n in names}
    values = {"FalseNegativeRate": [], "Auroc": [], "Spearman": [], "MeanAbsoluteError": [], "RootMeanSquareError": []}
    for _ in range(draws):
        data = np.concatenate([by_run[names[i]] for i in rng.integers(0, len(names), len(names))])
        for k, v in metrics(data[:, 0], data[:, 1], danger, danger).items():
            if k in values and v is not None:
                values[k].append(v)
    return {k: [float(q) for q in np.quantile(v, [0.025, 0.975])] for k, v in values.items()}


rng = np.random.default_rng(20261121)
cases = []
for runs, steps, digits, danger, flag in [(12, 12, 4, 0.06, 0.06), (5, 8, 2, 0.06, 0.06), (20, 6, 2, 0.05, 0.5), (30, 12, 3, 0.06, 0.04),
                                          (2, 3, 2, 0.03, 0.03), (6, 5, 1, 0.9, 0.9), (4, 4, 3, 0.0, 0.0)]:
    rows = simulate(rng, runs, steps, digits)
    t, p = np.array([r[2] for r in rows]), np.array([r[3] for r in rows])
    cases.append({"danger": danger, "flag": flag, "rows": rows, "metrics": metrics(t, p, danger, flag)})
cases[0]["intervals"] = intervals(cases[0]["rows"], 0.06)
sample = rng.normal(size=37)
quantiles = [[q, float(np.quantile(sample, q))] for q in (0, 0.025, 0.3, 0.5, 0.975, 1)]
with open(f"{HERE}/metrics.json", "w") as file:
    json.dump({"cases": cases, "sample": sample.tolist(), "quantiles": quantiles}, file)
    file.write("\n")
