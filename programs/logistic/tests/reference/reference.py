"""Makes reference.csv: logistic regressions over pooled rows by statsmodels, converged to 1e-14; with a ridge by Newton's method in
extended precision. Needs numpy, pandas, statsmodels."""
import pathlib
import sys

import numpy as np
import statsmodels.api as sm

sys.path.insert(0, str(pathlib.Path(__file__).parents[3] / "sdk" / "tests" / "reference"))
from tables import on_the_data, patients, standardized, tumours


def plain(name, x, y):
    # Standardized, so that the solver's tolerance means the same for each column.
    z, mean, sd = standardized(x)
    fit = sm.Logit(y, sm.add_constant(z.to_numpy())).fit(method="newton", maxiter=100, tol=1e-15, disp=0)
    # One more step of the same method: what is left is rounding.
    design = sm.add_constant(z.to_numpy())
    p = 1 / (1 + np.exp(-design @ fit.params))
    weights = fit.params + np.linalg.solve(design.T @ (design * (p * (1 - p))[:, None]), design.T @ (y - p))
    p = 1 / (1 + np.exp(-design @ weights))
    covariance = np.linalg.inv(design.T @ (design * (p * (1 - p))[:, None]))
    emit(name, x, *on_the_data(weights, covariance, mean, sd))


def ridge(name, x, y, penalty):
    z, mean, sd = standardized(x)
    design = sm.add_constant(z.to_numpy()).astype(np.longdouble)
    y = y.astype(np.longdouble)
    weights = np.zeros(design.shape[1], dtype=np.longdouble)
    r = np.full(len(weights), penalty)
    r[0] = 0
    for _ in range(200):
        p = 1 / (1 + np.exp(-design @ weights))
        h = (design.T @ (design * (p * (1 - p))[:, None])).astype(float)
        step = np.linalg.solve(h + np.diag(r), (design.T @ (y - p) - r * weights).astype(float))
        weights = weights + step
        if np.abs(step).max() < 1e-15:
            break
    m = np.linalg.inv(h + np.diag(r))
    emit(name, x, *on_the_data(weights.astype(float), m @ h @ m, mean, sd))


def emit(name, x, coefficients, errors):
    for term, b, se in zip(["(intercept)", *x.columns], coefficients, errors):
        print(f"{name},{term},{b!r},{se!r}")


np.set_printoptions(legacy="1.25")
print("case,term,estimate,standard error")
t = tumours()
few = t[["mean_radius", "mean_texture", "mean_smoothness", "mean_symmetry"]]
plain("tumours", few, t["malignant"].to_numpy())
ridge("tumours ridge 2.5", t.drop(columns="malignant"), t["malignant"].to_numpy(), 2.5)
for missing in ["drop", "mean", "median"]:
    x, rows = patients(missing)
    plain(f"patients {missing}", x, rows["event"].to_numpy())
