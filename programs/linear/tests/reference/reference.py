"""Makes reference.csv: linear regressions over pooled rows by statsmodels; with a ridge by the normal equations. Needs numpy, pandas,
statsmodels."""
import pathlib
import sys

import numpy as np
import statsmodels.api as sm

sys.path.insert(0, str(pathlib.Path(__file__).parents[3] / "sdk" / "tests" / "reference"))
from tables import on_the_data, patients, standardized, tumours


def plain(name, x, y):
    z, mean, sd = standardized(x)
    fit = sm.OLS(y, sm.add_constant(z.to_numpy())).fit(method="qr")
    b, se = on_the_data(fit.params, fit.cov_params(), mean, sd)
    emit(name, x, b, se, fit.rsquared, fit.rsquared_adj, np.sqrt(fit.scale))


def ridge(name, x, y, penalty, half_range):
    """The penalty is on weights on the scale of the outcome's range, as in the method."""
    z, mean, sd = standardized(x)
    design = sm.add_constant(z.to_numpy())
    r = np.full(design.shape[1], penalty)
    r[0] = 0
    h = design.T @ design
    m = np.linalg.inv(h + np.diag(r))
    weights = m @ (design.T @ y)
    residual = y - design @ weights
    df = len(y) - np.trace(m @ h)
    scale = residual @ residual / df
    b, se = on_the_data(weights, m @ h @ m * scale, mean, sd)
    r2 = 1 - residual @ residual / ((y - y.mean()) ** 2).sum()
    emit(name, x, b, se, r2, 1 - (1 - r2) * (len(y) - 1) / df, np.sqrt(scale))


def emit(name, x, b, se, r2, adjusted, spread):
    for term, e, s in zip(["(intercept)", *x.columns], b, se):
        print(f"{name},{term},{e!r},{s!r}")
    print(f"{name},[r2; adjusted],{r2!r},{adjusted!r}")
    print(f"{name},[spread],{spread!r},nan")


np.set_printoptions(legacy="1.25")
print("case,term,estimate,standard error")
t = tumours()
plain("tumours", t.drop(columns=["malignant", "mean_area"]), t["mean_area"].to_numpy())
ridge("tumours ridge 2.5", t.drop(columns=["malignant", "mean_area"]), t["mean_area"].to_numpy(), 2.5, None)
for missing in ["drop", "mean", "median"]:
    x, rows = patients(missing)
    plain(f"patients {missing}", x, rows["pressure"].to_numpy())
