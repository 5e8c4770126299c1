#!/usr/bin/env python3
"""Makes the tables of this example from the Wisconsin data as bundled in scikit-learn.

    python3 split.py path/to/sklearn/datasets/data/breast_cancer.csv

Not needed to run the example: the tables are here. Needs no package; the same input gives the same bytes on every
version of Python, because rows are ordered by SHA-256 and not by a random generator. The numbers are copied as text.
"""

import csv
import hashlib
import pathlib
import sys

MEASURES = [
    "radius", "texture", "perimeter", "area", "smoothness",
    "compactness", "concavity", "concave_points", "symmetry", "fractal_dimension",
]
COLUMNS = [f"mean_{m}" for m in MEASURES] + [f"{m}_error" for m in MEASURES] + [f"worst_{m}" for m in MEASURES]

# file: (malignant rows, benign rows). Sizes and shares differ on purpose, as those of real hospitals do.
PARTS = {
    "queries.csv": (4, 5),
    "university-hospital.csv": (130, 130),
    "cancer-center.csv": (45, 105),
    "city-hospital.csv": (24, 66),
    "screening-center.csv": (9, 51),
}


def place(number):
    """A fixed, arbitrary order of the rows of the original file, numbered from 0."""
    return hashlib.sha256(f"histone example breast-cancer row {number}".encode()).digest()


def main(source):
    with open(source, newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    if lines[0] != ["569", "30", "malignant", "benign"] or len(lines) != 570:
        sys.exit(f"{source}: not the breast cancer table of scikit-learn (569 rows, 30 features)")
    rows = {"0": [], "1": []}  # the original codes malignant as 0 and benign as 1
    for number, line in enumerate(lines[1:]):
        if len(line) != 31:
            sys.exit(f"{source}, line {number + 2}: {len(line)} cells instead of 31")
        rows[line[30]].append((place(number), line[:30]))
    malignant, benign = sorted(rows["0"]), sorted(rows["1"])

    here = pathlib.Path(__file__).parent
    for name, (m, b) in PARTS.items():
        part = [(key, values, "1") for key, values in malignant[:m]]
        part += [(key, values, "0") for key, values in benign[:b]]
        malignant, benign = malignant[m:], benign[b:]
        with open(here / name, "w", newline="", encoding="utf-8") as file:
            out = csv.writer(file, lineterminator="\n")
            out.writerow(COLUMNS + ["malignant"])
            out.writerows(values + [label] for _, values, label in sorted(part))
    assert not malignant and not benign, "every row belongs to one part"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
