"""Whole-genome regression of a quantitative trait, written from the paper and not from the Rust code.

Mbatchou et al. 2021, Nature Genetics 53: step 1 with K-fold cross-validation, step 2 as a linear scan. Prints the numbers that
tests/it/regression.rs holds. Needs NumPy; the argument is the folder conformance/bgen of the data.

The example has one chromosome and no missing call, so variants 0-399, 400-699 and 700-999 are named chromosomes 1, 2 and 3, and
the call of person i at variant j is taken as missing when (7 j + 13 i) mod 101 = 0. Person i is in fold i mod 5.
"""

import sys
import numpy as np

folder = sys.argv[1]
N, M, B, K = 500, 1000, 100, 5
SHARES = np.array([0.01, 0.25, 0.5, 0.75, 0.99])

packed = np.fromfile(f"{folder}/regenie_example.bed", dtype=np.uint8)[3:].reshape(M, N // 4)
codes = np.stack([packed >> (2 * k) & 3 for k in range(4)], axis=-1).reshape(M, N)
X = np.array([2.0, np.nan, 1.0, 0.0])[codes].T  # people x variants, copies of A1
i, j = np.meshgrid(np.arange(N), np.arange(M), indexing="ij")
X[(7 * j + 13 * i) % 101 == 0] = np.nan
y = np.loadtxt(f"{folder}/regenie_phenotype.txt", skiprows=1)[:, 2]
C = np.column_stack([np.ones(N), np.loadtxt(f"{folder}/regenie_covariates.txt", skiprows=1)[:, 2:]])
chromosome = np.digitize(np.arange(M), [400, 700]) + 1
fold = np.arange(N) % K


def without_covariates(values):
    return values - C @ np.linalg.lstsq(C, values, rcond=None)[0]


filled = np.where(np.isnan(X), np.nanmean(X, axis=0), X)
G = without_covariates(filled)
G /= np.sqrt((G**2).sum(axis=0) / (N - C.shape[1]))
r = without_covariates(y)
deviation = np.sqrt((r**2).sum() / (N - C.shape[1]))
r = r / deviation


def ridge(A, b, penalty):
    return np.linalg.solve(A.T @ A + penalty * np.eye(A.shape[1]), A.T @ b)


predictors, of_chromosome = [], []
for c in (1, 2, 3):
    columns = np.flatnonzero(chromosome == c)
    for start in range(0, len(columns), B):
        block = G[:, columns[start : start + B]]
        for h in SHARES:
            prediction = np.empty(N)
            for k in range(K):
                inside = fold == k
                prediction[inside] = block[inside] @ ridge(block[~inside], r[~inside], M * (1 - h) / h)
            predictors.append((prediction - prediction.mean()) / prediction.std(ddof=1))
            of_chromosome.append(c)
W, of_chromosome = np.array(predictors).T, np.array(of_chromosome)

L = W.shape[1]
found = {
    (k, t): ridge(W[fold != k], r[fold != k], L * (1 - h) / h) for k in range(K) for t, h in enumerate(SHARES)
}
errors = [
    sum(((r[fold == k] - W[fold == k] @ found[k, t]) ** 2).sum() for k in range(K)) / (r**2).sum()
    for t in range(len(SHARES))
]
best = int(np.argmin(errors))
print("errors", [f"{e:.12f}" for e in errors], "best", best)
for c in (1, 2, 3):
    loco = np.empty(N)
    kept = of_chromosome != c
    for k in range(K):
        loco[fold == k] = W[fold == k][:, kept] @ found[k, best][kept] * deviation
    print("loco", c, [f"{v:.12f}" for v in loco[[0, 1, 2, 250, 499]]], "sum of squares", f"{(loco**2).sum():.9f}")
    for v in np.flatnonzero(chromosome == c)[[0, 57]]:
        called = ~np.isnan(X[:, v])
        A = np.column_stack([X[called, v], C[called]])
        z = (y - loco)[called]
        beta = np.linalg.lstsq(A, z, rcond=None)[0]
        rest = z - A @ beta
        se = np.sqrt((rest**2).sum() / (len(z) - A.shape[1]) * np.linalg.inv(A.T @ A)[0, 0])
        print("step 2", v, f"{beta[0]:.12f} {se:.12f}")
