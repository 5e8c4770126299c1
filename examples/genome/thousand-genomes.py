"""Writes the study of README.md over the 1000 Genomes Project: python3 thousand-genomes.py FOLDER PANEL"""

import csv
import os
import shutil
import sys
from pathlib import Path

HOSPITALS = {
    "north-hospital": {"CEU", "FIN", "GBR", "IBS", "TSI"},
    "south-hospital": {"ASW", "LWK", "YRI"},
    "east-hospital": {"CHB", "CHS", "JPT"},
    "west-hospital": {"CLM", "MXL", "PUR"},
}
if len(sys.argv) != 3 or "HISTONE_DATA" not in os.environ:
    sys.exit("usage: HISTONE_DATA=/path/to/data python3 thousand-genomes.py FOLDER PANEL")
here, out, panel = Path(__file__).parent, Path(sys.argv[1]), Path(sys.argv[2])
data = Path(os.environ["HISTONE_DATA"]) / "genotypes"
out.mkdir(parents=True, exist_ok=True)
shutil.copy(panel, out / "panel.tsv")


def rows(name):
    with open(data / name, newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


population = {row["sample"]: row["population"] for row in rows("kg_phase1_550.labels.tsv")}
people = rows("kg_phase1_550.pheno.tsv")
for hospital, populations in HOSPITALS.items():
    with open(out / f"{hospital}.csv", "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["person", "sex", "trait"])
        for row in people:
            if population[row["#IID"]] in populations:
                table.writerow([row["#IID"], {"1": "male", "2": "female"}[row["SEX"]], row["SIMULATED_QT"]])
with open(panel) as file:
    first = next(line for line in file if not line.startswith(("#", "chromosome"))).split("\t")
(out / "queries.csv").write_text("variant\n1\n")
study = (here / "study.toml").read_text()
study = study.replace('"genome-scan"', '"thousand-genomes"').replace("of SIMULATED people", "of the 1000 Genomes Project, SIMULATED trait")
study = study.replace('features = ["age", "sex"]', 'features = ["sex"]').replace("age = [0, 120], ", "")
study = study.replace('"GRCh38"', '"GRCh37"')
for hospital in HOSPITALS:
    short = hospital.split("-")[0]
    study = study.replace(f'"{short}.csv"', f'"{hospital}.csv"')
    study = study.replace(f'"{short}.bed"', '"${HISTONE_DATA}/genotypes/kg_phase1_chr22_550.vcf.gz"')
(out / "study.toml").write_text(study)
print(f"{out / 'study.toml'}: {len(people)} people; the first variant of the panel is {first[0]}:{first[1]}")
