"""Reference numbers for DriftAxis and its controls, from numpy alone (SVD of the centred data, no covariance, no streaming).

Usage: python3 drift_axis.py   (writes drift_axis.json beside itself; reads models/*/parity of this checkout)
"""
import json
import os
import struct

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..", "..", "..")
TRAITS = ["honesty", "sycophancy", "harmlessness", "power_seeking", "helpfulness", "confidence", "corrigibility"]


def pca(x):
    _, s, v = np.linalg.svd(x - x.mean(0), full_matrices=True)
    variance = np.zeros(x.shape[1])
    variance[: len(s)] = s**2 / (len(x) - 1)
    return variance, v


def orient(components, traits):
    out = []
    for c in components:
        i = traits.index("harmlessness") if "harmlessness" in traits else int(np.argmax(np.abs(c)))
        out.append(c if c[i] > 0 else -c)
    return np.array(out)


def axis(x, traits):
    variance, v = pca(x)
    share = variance / variance.sum()
    return {"mean": x.mean(0).tolist(), "variances": variance.tolist(), "shares": share.tolist(), "participation": 1 / (share**2).sum(),
            "components": orient(v, traits).tolist()}


def leave_one_out(x, groups):
    full = pca(x)[1][0]
    return {g: abs(float(pca(x[[h != g for h in groups]])[1][0] @ full)) for g in sorted(set(groups))}


def whitened(x, directions):
    value, vector = np.linalg.eigh(directions @ directions.T)
    w = x @ (vector / np.sqrt(value) @ vector.T)
    variance, v = pca(w)
    return {"share": variance[0] / variance.sum(), "cosine": abs(float(v[0] @ pca(x)[1][0]))}


def native(x, changes, directions):
    _, s, v = np.linalg.svd(changes - changes.mean(0), full_matrices=False)
    variance = s**2
    seen = directions @ v[0]
    basis, _ = np.linalg.qr(directions.T)
    return {"share": variance[0] / variance.sum(), "participation": variance.sum() ** 2 / (variance**2).sum(),
            "cosine": abs(float(seen @ pca(x)[1][0])) / np.linalg.norm(seen), "visible": float(np.linalg.norm(basis.T @ v[0]) ** 2)}


def isotropic(x, seed, draws=20000):
    rng = np.random.default_rng(seed)
    norms = np.linalg.norm(x, axis=1)
    z = rng.standard_normal((draws, *x.shape))
    z *= (norms / np.linalg.norm(z, axis=2))[:, :, None]
    z -= z.mean(1, keepdims=True)
    values = np.linalg.eigvalsh(np.einsum("dni,dnj->dij", z, z))
    share = values[:, -1] / values.sum(1)
    observed = pca(x)[0]
    reached = int((share >= observed[0] / observed.sum()).sum())
    return {"mean": share.mean(), "share95": float(np.quantile(share, 0.95)), "p": (1 + reached) / (1 + draws), "norms": norms.tolist()}


def synthetic(seed, n, traits, d):
    """Drifts that are the traits' view of activation changes, as in the real thing; directions overlap."""
    rng = np.random.default_rng(seed)
    k = len(traits)
    directions = rng.standard_normal((k, d)) + 0.7 * rng.standard_normal(d)
    directions = (directions / np.linalg.norm(directions, axis=1, keepdims=True)).astype(np.float32).astype(np.float64)
    changes = 0.1 * rng.standard_normal((n, 2)) @ rng.standard_normal((2, d)) / np.sqrt(d) + 0.05 * rng.standard_normal((n, d)) / np.sqrt(d)
    changes += 0.1 * rng.standard_normal(d) / np.sqrt(d)
    x = changes @ directions.T
    groups = ["abcd"[i % 4] for i in range(n)]
    return {"traits": traits, "drifts": x.tolist(), "groups": groups, "directions": directions.tolist(), "changes": changes.tolist(),
            "axis": axis(x, traits), "leave_one_out": leave_one_out(x, groups), "whitened": whitened(x, directions),
            "native": native(x, changes, directions), "isotropic": isotropic(x, seed)}


def read_layer(base, layer):
    with open(f"{ROOT}/models/{base}/parity/directions.safetensors", "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        start, end = header[f"layer_{layer}"]["data_offsets"]
        data = file.read()[start:end]
    return np.frombuffer(data, np.float32).reshape(len(TRAITS), -1).astype(np.float64)


def organism(base):
    """Final drifts of every run of a shipped organism, stress runs left out; the test reads the same trajectories."""
    with open(f"{ROOT}/models/{base}/parity/trajectories.jsonl") as file:
        runs = [run for run in map(json.loads, file) if not run["run"].startswith("stress/")]
    rows = [[[point["projections_normalized"][t] for t in TRAITS] for point in run["trajectory"]] for run in runs]
    x = np.array([np.array(r[-1]) - np.array(r[0]) for r in rows])
    groups = [run["data_source"] for run in runs]
    return {"base": base, "runs": len(runs), "axis": axis(x, TRAITS), "leave_one_out": leave_one_out(x, groups),
            "whitened": whitened(x, read_layer(base, runs[0]["layer"])), "isotropic": isotropic(x, 1)}


cases = [synthetic(1, 9, TRAITS, 40), synthetic(2, 30, TRAITS, 16), synthetic(3, 12, ["kindness", "candour", "greed"], 24),
         synthetic(4, 5, TRAITS, 64)]
with open(f"{HERE}/drift_axis.json", "w") as file:
    json.dump({"synthetic": cases, "organisms": [organism(b) for b in ("llama", "qwen2", "qwen3")]}, file)
    file.write("\n")
