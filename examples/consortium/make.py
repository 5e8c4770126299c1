"""Draws the SIMULATED tables of this folder. The same seed, the same files: python3 make.py"""

import csv
import math
import random

HEADER = ["age", "bmi", "systolic", "smoker", "readmitted"]


def person(draw, older):
    age = min(95, max(19, round(draw.gauss(58 + older, 14))))
    bmi = round(min(48.0, max(16.0, draw.gauss(27, 4.5))), 1)
    systolic = min(205, max(92, round(draw.gauss(112 + 0.35 * age, 14))))
    smoker = "yes" if draw.random() < 0.3 else "no"
    risk = -6.2 + 0.045 * age + 0.05 * bmi + 0.008 * systolic + 0.9 * (smoker == "yes")
    readmitted = "yes" if draw.random() < 1 / (1 + math.exp(-risk)) else "no"
    return [age, bmi, systolic, smoker, readmitted]


def write(name, rows):
    with open(name, "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([HEADER, *rows])


def table(name, seed, rows, older):
    draw = random.Random(seed)
    people = [person(draw, older) for _ in range(rows)]
    for row in draw.sample(range(rows), 3):
        # Nobody has asked.
        people[row][1] = ""
    write(name, people)
    return people


north = table("north-hospital.csv", 1, 64, 0)
south = table("south-hospital.csv", 2, 58, 6)
draw = random.Random(3)
write("clinic.csv", [person(draw, 0) for _ in range(2)])
for name, people in [("north", north), ("south", south)]:
    print(name, len(people), "rows,", sum(p[-1] == "yes" for p in people), "readmitted")
