"""What the reference scripts of methods share: the tables as the methods prepare them. Needs numpy and pandas."""
import pathlib

import numpy as np
import pandas as pd

HERE = pathlib.Path(__file__).parent
EXAMPLES = HERE.parents[3] / "examples" / "breast-cancer"
SITES = ["cancer-center", "city-hospital", "screening-center", "university-hospital"]


def tumours():
    return pd.concat([pd.read_csv(EXAMPLES / f"{site}.csv") for site in SITES], ignore_index=True)


def patients(missing):
    """`missing`: drop, mean or median; a category is filled with its most frequent level."""
    t = pd.read_csv(HERE / "patients.csv")
    features = ["age", "bmi", "sex", "smoker", "marker"]
    if missing == "drop":
        t = t.dropna(subset=features).reset_index(drop=True)
    for c in ["age", "bmi"]:
        t[c] = t[c].fillna(t[c].mean() if missing == "mean" else t[c].median())
    t["smoker"] = t["smoker"].fillna(t["smoker"].value_counts().idxmax())
    x = pd.DataFrame({
        "age": t["age"],
        "bmi": t["bmi"],
        "sex=male": (t["sex"] == "male").astype(float),
        "smoker=former": (t["smoker"] == "former").astype(float),
        "smoker=current": (t["smoker"] == "current").astype(float),
        "marker": t["marker"],
    })
    return x, t


def standardized(x):
    """Columns to mean 0 and deviation 1, and how to bring weights back to the scale of the data."""
    mean, sd = x.mean(axis=0), x.std(axis=0, ddof=0)
    return (x - mean) / sd, mean.to_numpy(), sd.to_numpy()


def on_the_data(weights, covariance, mean, sd):
    """Coefficients and standard errors on the scale of the data from weights of standardized columns, intercept first."""
    p = len(weights)
    back = np.zeros((p, p))
    back[0, 0] = 1
    back[0, 1:] = -mean / sd
    back[1:, 1:] = np.diag(1 / sd)
    return back @ weights, np.sqrt(np.diag(back @ covariance @ back.T))
