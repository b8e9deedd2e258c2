"""Reference numbers for onset, personas and invariance, by numpy and scipy in float64, written from the definitions and not from the C#.

Usage: python3 runs.py   (writes runs.json beside itself; reads models/llama/parity of this checkout)
"""
import json
import os

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.optimize import least_squares
from scipy.spatial.distance import squareform
from scipy.stats import chi2

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..", "..", "..")


# ---- onset -------------------------------------------------------------------------------------------------------------------------------

def logistic(x, y, width):
    def residual(p):
        return p[0] / (1 + np.exp(np.clip(-(x - p[1]) / p[2], -700, 700))) - y
    span, best = x[-1] - x[0], None
    for m in np.linspace(x[0], x[-1], 9):
        for w in (width * 1.5, span / 30, span / 10, span / 4):
            low, high = [-np.inf, x[0] - span, width], [np.inf, x[-1] + span, 2 * span]
            r = least_squares(residual, [max(y.max(), 1e-3), m, np.clip(w, width * 1.01, span)], bounds=(low, high), xtol=1e-15, ftol=1e-15, gtol=1e-15)
            if best is None or 2 * r.cost < best[0] * (1 - 1e-12):
                best = (2 * r.cost, *r.x)
    return best


def crossing(x, y, level):
    at = np.flatnonzero(y >= level)
    if not len(at):
        return None
    i = at[0]
    return float(x[0]) if i == 0 else float(x[i - 1] + (x[i] - x[i - 1]) * (level - y[i - 1]) / (y[i] - y[i - 1]))


def shape(x, y):
    n, spacing = len(x), np.median(np.diff(x))
    pieces = [(((y[:i] - y[:i].mean()) ** 2).sum() + ((y[i:] - y[i:].mean()) ** 2).sum(), i) for i in range(1, n)]
    step_sse, index = min(pieces)
    sse, a, m, w = logistic(x, y, spacing / 10)
    hinges = []
    onset = 0.0
    while onset < x[-1] - x[0]:
        h = np.maximum(0, x - x[0] - onset)
        b = (h @ y) / (h @ h)
        hinges.append((((y - b * h) ** 2).sum(), x[0] + onset, b))
        onset += spacing / 20
    hinge = min(hinges)
    line = ((y - np.polyval(np.polyfit(x, y, 1), x)) ** 2).sum()
    rise = y.max() - y[0]
    return {
        "change_point": {"sse": step_sse, "index": index, "step": x[index], "before": y[:index].mean(), "after": y[index:].mean()},
        "logistic": {"sse": sse, "plateau": a, "midpoint": m, "width": w, "r2": 1 - sse / ((y - y.mean()) ** 2).sum()},
        "hinge": {"sse": hinge[0], "onset": hinge[1], "slope": hinge[2]}, "linear_sse": line,
        "crossing_10": crossing(x, y, y[0] + 0.1 * rise), "crossing_50": crossing(x, y, y[0] + 0.5 * rise),
        "bic": [n * np.log(e / n) + p * np.log(n) for e, p in ((step_sse, 3), (sse, 3), (hinge[0], 2), (line, 2))],
    }


def series():
    rng = np.random.default_rng(20261128)
    even, odd = np.arange(0, 121, 10.0), np.array([0, 5, 10, 20, 35, 50, 80, 120, 200.0])
    for x in (even, odd):
        for name, y in (("logistic", 0.8 / (1 + np.exp(-(x - 60) / 9))), ("step", 0.02 + 0.5 * (x >= 50)), ("hinge", 0.01 * np.maximum(0, x - 27)), ("linear", 0.1 + 0.004 * x)):
            noisy = y + 0.01 * rng.standard_normal(len(x))
            yield {"name": name, "steps": x, "values": noisy, "shape": shape(x, noisy)}


def bootstrap():
    """Quantiles of bootstraps, with their spread over repetitions of the whole bootstrap."""
    rng = np.random.default_rng(7)
    x, prompts, traits, runs = np.arange(0, 81, 10.0), 14, 3, 3
    mid, direction = [31, 38, 45], np.array([0.6, -0.3, 0.5])
    d = np.array([[[direction * (1 / (1 + np.exp(-(s - m) / 8)) * (s > 0)) + 0.12 * (s > 0) * rng.standard_normal(traits) for _ in range(prompts)] for s in x] for m in mid])
    rates = np.array([0.5 / (1 + np.exp(-(x - m - 6 - 2 * i) / 6)) for i, m in enumerate(mid)])
    mean = np.linalg.norm(d.mean(2), axis=2)

    def quantities(y, r):
        s = shape_quick(x, y)
        out = [s["midpoint"], s["crossing_50"]]
        if r is not None:
            e = shape_quick(x, r)
            out += [e["crossing_50"] - s["crossing_50"], e["midpoint"] - s["midpoint"]]
        return out

    def shape_quick(x, y):
        sse, a, m, w = min((fit(x, y, start) for start in ((y.max(), 40, 8),)), key=lambda f: f[0])
        return {"midpoint": m, "crossing_50": crossing(x, y, y[0] + 0.5 * (y.max() - y[0]))}

    def fit(x, y, start):
        r = least_squares(lambda p: p[0] / (1 + np.exp(-(x - p[1]) / p[2])) - y, start)
        return 2 * r.cost, *r.x

    def repeat(over_runs, draws, repetitions):
        ends = []
        for _ in range(repetitions):
            drawn = []
            for _ in range(draws):
                p = rng.integers(0, prompts, prompts)
                if over_runs:
                    take = rng.integers(0, runs, runs)
                    drawn.append(quantities(np.linalg.norm(d[take][:, :, p].mean(2), axis=2).mean(0), rates[take].mean(0)))
                else:
                    drawn.append(quantities(np.linalg.norm(d[0][:, p].mean(1), axis=1), None))
            ends.append(np.percentile(drawn, [2.5, 97.5], axis=0).T)
        return {"mean": np.mean(ends, 0), "sd": np.std(ends, 0, ddof=1)}

    return {"steps": x, "prompts": d.reshape(runs, len(x), -1), "traits": traits, "rates": rates, "series": mean,
            "over_prompts": repeat(False, 1000, 6), "over_runs": repeat(True, 1000, 6)}


# ---- personas ----------------------------------------------------------------------------------------------------------------------------

def personas(y, rng):
    a, b, _ = y.shape

    def parts(y):
        m = y.mean((0, 1))
        p, g = y.mean(1), y.mean(0)
        ss_p, ss_g = b * ((p - m) ** 2).sum(), a * ((g - m) ** 2).sum()
        return ss_p, ss_g, ((y - m) ** 2).sum() - ss_p - ss_g

    def nearest(y):
        out = np.zeros((a, b), int)
        for g in range(b):
            c = np.delete(y, g, 1).mean(1)
            out[:, g] = ((y[:, g, None] - c[None]) ** 2).sum(2).argmin(1)
        return out

    def accuracy(y):
        return (nearest(y) == np.arange(a)[:, None]).mean()

    def same(u):
        return np.mean([u[i, g] @ u[i, h] for i in range(a) for g in range(b) for h in range(b) if g != h])

    def permuted(y, statistic, draws=4000):
        value = statistic(y)
        null = []
        for _ in range(draws):
            null.append(statistic(np.stack([y[rng.permutation(a), g] for g in range(b)], 1)))
        null = np.array(null)
        return {"value": value, "mean": null.mean(), "sd": null.std(), "exceed": (null >= value - 1e-12).mean(), "draws": draws}

    def all_of(y):
        ss = np.array(parts(y))
        df = np.array([a - 1, b - 1, (a - 1) * (b - 1)])
        ms = ss / df
        components = np.array([max(0, (ms[0] - ms[2]) / b), max(0, (ms[1] - ms[2]) / a), ms[2]])
        return {"sums_of_squares": ss, "share": ss / ss.sum(), "mean_squares": ms, "variance_components": components, "nearest": nearest(y),
                "accuracy": permuted(y, accuracy), "persona_share": permuted(y, lambda z: parts(z)[0] / sum(parts(z)))}

    u = y / np.linalg.norm(y, axis=2, keepdims=True)
    across = [[np.mean([u[i, g] @ u[j, h] for g in range(b) for h in range(b) if g != h]) for j in range(a)] for i in range(a)]
    across = np.array(across)
    distances = 1 - (across + across.T) / 2
    np.fill_diagonal(distances, 0)
    different = np.mean([u[i, g] @ u[j, g] for g in range(b) for i in range(a) for j in range(i)])
    cut = (same(u) + different) / 2
    labels = fcluster(linkage(squareform(distances, checks=False), "average"), 1 - cut, "distance")
    families = sorted(sorted(np.flatnonzero(labels == l).tolist()) for l in set(labels))
    return {"families": families, "drifts": y, "raw": all_of(y), "unit": all_of(u), "same": permuted(u, same), "different": different, "across": across}


def llama():
    """Final drifts of every perturbation with three seeds, from PyTorch's trajectories."""
    final = {}
    with open(os.path.join(ROOT, "models", "llama", "parity", "trajectories.jsonl")) as lines:
        for run in map(json.loads, lines):
            if run["run"].startswith("stress/"):
                continue
            p = [np.array(list(run["trajectory"][i]["projections_normalized"].values())) for i in (0, -1)]
            final[run["data_source"], run["seed"]] = p[1] - p[0]
    names, seeds = sorted({k[0] for k in final}), sorted({k[1] for k in final})
    return {"personas": names, "seeds": seeds} | personas(np.array([[final[n, s] for s in seeds] for n in names]), np.random.default_rng(3))


# ---- invariance --------------------------------------------------------------------------------------------------------------------------

def invariance():
    """Three environments of three runs each, and a fourth whose rates are all zero; one stable trait, one whose slope differs, one of no use."""
    rng = np.random.default_rng(11)
    rows = []
    for e, name in enumerate("abcd"):
        for run in range(3):
            shift = 0.03 * rng.standard_normal()
            for step in range(1, 7):
                x = np.array([0.05 * step + 0.01 * rng.standard_normal(), 0.04 * step * (1 + e) + 0.01 * rng.standard_normal(), 0.05 * rng.standard_normal()])
                y = float(np.clip(1.2 * x[0] + shift + 0.01 * rng.standard_normal(), 0, 1)) if name != "d" else 0.0
                rows.append({"environment": name, "run": f"{name}{run}", "x": x, "rate": y, "n": 200})
    out = {"rows": rows, "with_d": {}, "without_d": {}}
    for key, kept in (("with_d", "abcd"), ("without_d", "abc")):
        for kind in ("rate", "root"):
            out[key][kind] = [slopes([r for r in rows if r["environment"] in kept], kept, k, kind) for k in range(3)]
    return out


def slopes(rows, names, k, kind):
    y_of = (lambda r: r["rate"]) if kind == "rate" else (lambda r: np.sqrt(r["rate"]))
    noise_of = (lambda r: ((q := (r["rate"] * r["n"] + 2) / (r["n"] + 4)) * (1 - q)) / r["n"]) if kind == "rate" else (lambda r: 0.25 / r["n"])
    found = []
    for name in names:
        mine = [r for r in rows if r["environment"] == name]

        def fit(some):
            x, y = np.array([r["x"][k] for r in some]), np.array([y_of(r) for r in some])
            return np.linalg.lstsq(np.stack([np.ones_like(x), x], 1), y, rcond=None)[0], x, y
        (a, b), x, y = fit(mine)
        s2 = max(((y - a - b * x) ** 2).sum() / (len(x) - 2), np.mean([noise_of(r) for r in mine]))
        error = np.sqrt(s2 / ((x - x.mean()) ** 2).sum())
        runs = sorted({r["run"] for r in mine})
        left = np.array([fit([r for r in mine if r["run"] != run])[0][1] for run in runs])
        found.append((b, error, np.sqrt((len(runs) - 1) / len(runs) * ((left - left.mean()) ** 2).sum())))
    b, error, jack = np.array(found).T
    design = max(1, (jack**2).sum() / (error**2).sum())
    se = error * np.sqrt(design)
    w = 1 / se**2
    mean = (w * b).sum() / w.sum()
    q, df = (w * (b - mean) ** 2).sum(), len(b) - 1
    return {"slope": b, "se_checkpoints": error, "se_jackknife": jack, "design_effect": design, "se": se, "mean": mean, "q": q, "p": chi2.sf(q, df), "i2": max(0, (q - df) / q)}


def plain(value):
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(v) for v in value]
    return value.item() if isinstance(value, np.generic) else value


if __name__ == "__main__":
    rng = np.random.default_rng(5)
    persona = rng.standard_normal((5, 1, 4))
    synthetic = personas(persona + 0.3 * rng.standard_normal((1, 3, 4)) + 0.5 * rng.standard_normal((5, 3, 4)), np.random.default_rng(2))
    with open(os.path.join(HERE, "runs.json"), "w") as out:
        json.dump(plain({"series": list(series()), "bootstrap": bootstrap(), "personas": synthetic, "llama": llama(), "invariance": invariance()}), out)
        out.write("\n")
