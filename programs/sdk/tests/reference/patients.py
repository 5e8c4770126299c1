"""Makes patients.csv: 600 made-up people of three sites, with categories and missing values. Needs numpy."""
import numpy as np

rng = np.random.default_rng(20261128)
n = 600
site = rng.integers(1, 4, n)
age = np.round(rng.normal(58, 12, n), 1)
bmi = np.round(rng.normal(27, 4.5, n), 2)
sex = rng.choice(["female", "male"], n)
smoker = rng.choice(["never", "former", "current"], n, p=[0.5, 0.3, 0.2])
marker = rng.normal(3e-11, 8e-12, n)
pressure = 90 + 0.6 * age + 0.5 * bmi + 3 * (sex == "male") + 4 * (smoker == "current") + rng.normal(0, 9, n)
eta = -6.5 + 0.05 * age + 0.06 * bmi + 0.5 * (sex == "male") + 0.9 * (smoker == "current") + 0.3 * (smoker == "former") + 2e10 * (marker - 3e-11)
event = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(int)
print("site,age,bmi,sex,smoker,marker,pressure,event")
for i in range(n):
    a = "" if rng.random() < 0.07 else f"{age[i]}"
    b = "" if rng.random() < 0.05 else f"{bmi[i]}"
    s = "" if rng.random() < 0.04 else smoker[i]
    print(f"{site[i]},{a},{b},{sex[i]},{s},{marker[i]:.6e},{pressure[i]:.2f},{event[i]}")
