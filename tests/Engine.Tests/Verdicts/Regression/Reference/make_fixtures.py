"""Writes the numbers of scikit-learn (1.2.1) that the regressors are tested against: linear.json, kernel.json, reductions.json, trees.json,
errors.json.

Run it in this folder. Inputs are rounded to a few decimals, so that the files hold them exactly.
"""

import json
import warnings

import numpy as np
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler


def plain(value):
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return value.item() if isinstance(value, np.generic) else value


def write(name, cases):
    with open(name, "w", encoding="utf-8", newline="\n") as file:
        file.write("[\n" + ",\n".join(json.dumps(plain(case)) for case in cases) + "\n]\n")


def features(rng, n, f, decimals=4):
    return np.round(rng.standard_normal((n, f)) @ (np.eye(f) + 0.3 * rng.standard_normal((f, f))), decimals)


def shapes(rng):
    """Name, features: what the linear fits must cope with."""
    yield "tall", features(rng, 60, 7)
    yield "square", features(rng, 9, 9)
    yield "wide", features(rng, 12, 40)
    collinear = features(rng, 30, 5)
    collinear[:, 3] = collinear[:, 0]
    collinear[:, 4] = np.round(collinear[:, 1] - 2 * collinear[:, 2], 4)
    yield "collinear", collinear
    constant = features(rng, 25, 4)
    constant[:, 1] = 0.1
    constant[:, 3] = 0
    yield "constant columns", constant
    yield "unscaled", np.round(features(rng, 40, 5) * [1e4, 1, 1e-3, 100, 1] + [5e4, 0, 0, 1000, -3], 6)
    repeated = features(rng, 8, 20)
    repeated[5] = repeated[2]
    repeated[6] = repeated[2]
    yield "wide with equal rows", repeated


def linear():
    rng = np.random.default_rng(1)
    for name, x in shapes(rng):
        scale = x.std(axis=0)
        scale[scale < 1e-12] = 1
        signal = (x - x.mean(axis=0)) / scale @ rng.standard_normal(x.shape[1]) / np.sqrt(x.shape[1])
        y = np.round(0.3 + 0.2 * signal + 0.1 * rng.standard_normal(len(x)), 4)
        for alpha in (1.0, 0.001, 250.0):
            model = Ridge(alpha=alpha, solver="svd").fit(x, y)
            assert np.allclose(model.predict(x), Ridge(alpha=alpha).fit(x, y).predict(x), rtol=0, atol=1e-7)
            yield {"kind": "ridge", "name": name, "x": x, "y": y, "alpha": alpha,
                   "coefficients": model.coef_, "intercept": model.intercept_, "predictions": model.predict(x)}
        for label, t in (("noisy", signal + 0.8 * rng.standard_normal(len(x)) > 0.2), ("separable", signal > np.median(signal))):
            for c in (1.0, 0.01, 100.0):
                model = LogisticRegression(C=c, solver="newton-cholesky", tol=1e-13, max_iter=1000)
                with warnings.catch_warnings():
                    # Its line search gives up at the rounding of the loss; what counts is the gradient, checked below.
                    warnings.simplefilter("ignore")
                    model.fit(x, t)
                w, b = polish(x, t, c, model.coef_[0].astype(np.longdouble), np.longdouble(model.intercept_[0]))
                yield {"kind": "logistic", "name": f"{name}, {label}", "x": x, "y": t, "c": c, "coefficients": w.astype(float),
                       "intercept": float(b), "predictions": (1 / (1 + np.exp(-(x @ w + b)))).astype(float)}


def polish(x, t, c, w, b):
    """Newton steps from scikit-learn's solution with gradients in extended precision, and a check that they hardly move it."""
    start = np.append(w, b)
    point = start.copy()
    ones = np.column_stack([x, np.ones(len(x))]).astype(np.longdouble)
    sign = np.where(t, 1, -1).astype(np.longdouble)
    penalty = np.append(np.ones(x.shape[1]), 0).astype(np.longdouble)
    for _ in range(30):
        miss = 1 / (1 + np.exp(sign * (ones @ point)))
        gradient = penalty * point - c * (ones.T @ (sign * miss))
        hessian = np.diag(penalty) + c * (ones.T * (miss * (1 - miss))) @ ones
        size = np.sqrt(np.diag(hessian))
        scaled = (hessian / np.outer(size, size)).astype(float)
        point = point - np.linalg.solve(scaled, (gradient / size).astype(float)) / size
    assert np.max(np.abs(gradient / size)) < 1e-14, np.max(np.abs(gradient / size))
    moved = np.max(np.abs(x @ (point - start)[:-1] + (point - start)[-1]))
    assert moved < 1e-6, moved
    return point[:-1], point[-1]


def kernel():
    rng = np.random.default_rng(5)
    for name, n, f in (("tall", 40, 4), ("wide", 10, 25), ("one feature", 12, 1), ("two rows", 2, 3)):
        # Multiples of 1/1024: single precision, to which training rows are rounded, holds them exactly.
        x = np.round(1024 * features(rng, n, f)) / 1024
        if name == "tall":
            x[7] = x[3]
        y = np.round(np.sin(x[:, 0]) + 0.3 * rng.standard_normal(n), 4)
        test = np.vstack([features(rng, 8, f), 50 * np.ones((1, f))])
        for scale, alpha in ((3.0, 0.2), (0.7, 0.01), (12.0, 5.0)):
            model = KernelRidge(alpha=alpha, kernel="rbf", gamma=1 / (2 * scale ** 2)).fit(x, y - y.mean())
            yield {"kind": "kernel_ridge", "name": f"{name}, s = {scale}, alpha = {alpha}", "x": x, "y": y, "scale": scale, "alpha": alpha,
                   "coefficients": model.dual_coef_, "test": test, "predictions": model.predict(test) + y.mean()}


def reductions():
    rng = np.random.default_rng(2)
    for name, x in shapes(rng):
        y = np.round(0.3 + 0.2 * x[:, 0] / x[:, 0].std() + 0.1 * rng.standard_normal(len(x)), 4)
        yield {"kind": "standardizer", "name": name, "x": x, "result": StandardScaler().fit_transform(x)}
        for n in (1, 2, 3):
            if name == "constant columns" and n == 3:
                continue  # only two features vary
            if name != "unscaled" or n < 3:  # the third and later variances are rounding beside the first
                yield {"kind": "principal_components", "name": name, "x": x, "n": n,
                       "result": PCA(n, svd_solver="full").fit(x).transform(x)}
            model = PLSRegression(n, scale=False).fit(x, y)
            yield {"kind": "partial_least_squares", "name": name, "x": x, "y": y, "n": n,
                   "result": model.transform(x), "predictions": model.predict(x)[:, 0]}


def leaves(tree):
    return {"feature": np.maximum(tree.feature, -1), "threshold": np.where(tree.children_left < 0, 0, tree.threshold),
            "left": tree.children_left, "right": tree.children_right,
            "value": np.where(tree.children_left < 0, tree.value[:, 0, 0], 0)}


def without_ties(make, seeds=12):
    """Fits with several seeds; with nothing sampled a seed only changes the order in which features are tried, that is, who wins a tie."""
    fits = [make(seed) for seed in range(seeds)]
    for fit in fits[1:]:
        for s, t in zip(fits[0], fit):
            # Not equal to the bit: the order of the features decides the order in which rows are summed.
            if any(a.shape != b.shape or not np.allclose(a, b, rtol=0, atol=1e-11) for a, b in zip(leaves(s).values(), leaves(t).values())):
                return None
    return fits[0]


def response(rng, x):
    y = np.sin(2 * x[:, 0]) + 0.5 * x[:, 1] ** 2 + x[:, 2] * (x[:, 3] > 0) + 0.3 * rng.standard_normal(len(x))
    return np.round(y, 4)


def trees():
    rng = np.random.default_rng(3)
    kinds = [
        # name, kind, rows, features, parameters, decimals of the features
        ("defaults", "random_forest", 120, 5, {"max_depth": 5, "min_samples_leaf": 5}, 4),
        ("weighted", "random_forest", 120, 5, {"max_depth": 5, "min_samples_leaf": 5}, 4),
        ("coarse values", "random_forest", 150, 4, {"max_depth": 4, "min_samples_leaf": 3}, 1),
        ("deep", "random_forest", 200, 4, {"max_depth": 9, "min_samples_leaf": 3}, 5),
        ("values nearer than 1e-7", "random_forest", 100, 4, {"max_depth": 5, "min_samples_leaf": 5}, 4),
        ("boosting", "gradient_boosting", 150, 4, {"max_depth": 3, "learning_rate": 0.1, "min_samples_leaf": 1}, 4),
        ("boosting, larger leaves", "gradient_boosting", 120, 5, {"max_depth": 4, "learning_rate": 0.25, "min_samples_leaf": 6}, 4),
    ]
    for name, kind, n, f, parameters, decimals in kinds:
        for _ in range(500):
            x = features(rng, n, f, decimals)
            if name == "values nearer than 1e-7":
                x = np.abs(x) * 0.01  # small enough for single precision to tell such values apart
                x[1::2] = x[::2] + np.tile([4e-8, 3e-7], (n + 3) // 4)[:n // 2, None]
            y = response(rng, x * (100 if name == "values nearer than 1e-7" else 1))
            weights = np.ones(n)
            if name == "weighted":
                weights = np.round(rng.uniform(0.1, 3, n), 2)
                weights[::7] = 0

            def make(seed):
                if kind == "random_forest":
                    model = RandomForestRegressor(3, bootstrap=False, max_features=1.0, random_state=seed, **parameters)
                    return [e.tree_ for e in model.fit(x, y, weights).estimators_[:1]]
                model = GradientBoostingRegressor(n_estimators=15, random_state=seed, **parameters)
                return [e.tree_ for e in model.fit(x, y).estimators_[:, 0]]

            found = without_ties(make)
            if found:
                break
        assert found, name
        yield {"kind": kind, "name": name, "x": x, "y": y, "weights": weights, "parameters": parameters,
               "trees": [leaves(t) for t in found]}


def errors():
    rng = np.random.default_rng(4)
    x, test = features(rng, 160, 7), features(rng, 300, 7)
    y, expected = response(rng, x), response(rng, test)
    makers = {
        "forest, bootstrap": lambda s: RandomForestRegressor(100, max_depth=5, min_samples_leaf=5, random_state=s),
        "forest, bootstrap and a third of the features":
            lambda s: RandomForestRegressor(100, max_depth=5, min_samples_leaf=5, max_features=0.34, random_state=s),
        "boosting, half of the rows": lambda s: GradientBoostingRegressor(n_estimators=100, subsample=0.5, random_state=s),
        "boosting, half of the features": lambda s: GradientBoostingRegressor(n_estimators=100, max_features=0.5, random_state=s),
    }
    yield {"x": x, "y": y, "test_x": test, "test_y": expected,
           "errors": {name: [np.mean((make(s).fit(x, y).predict(test) - expected) ** 2) for s in range(20)]
                      for name, make in makers.items()}}


if __name__ == "__main__":
    write("linear.json", linear())
    write("kernel.json", kernel())
    write("reductions.json", reductions())
    write("trees.json", trees())
    write("errors.json", errors())
