"""Makes stats.csv: distribution functions with 50 digits. Needs mpmath."""
import mpmath as mp

mp.mp.dps = 50


def normal(z):
    return mp.erfc(abs(mp.mpf(z)) / mp.sqrt(2))


def student(t, df):
    t, df = mp.mpf(t), mp.mpf(df)
    return mp.betainc(df / 2, mp.mpf(1) / 2, 0, df / (df + t * t), regularized=True)


print("function,first,second,value")
for z in ["0.001", "0.1", "0.5", "1", "1.5", "1.959963984540054", "2.5", "2.8", "2.9", "3", "4", "5", "8", "12", "20", "30", "36"]:
    print(f"normal,{z},0,{mp.nstr(normal(mp.mpf(float(z))), 20)}")
for p in ["0.5", "0.4", "0.25", "0.1", "0.05", "0.025", "0.975", "0.9999", "1e-5", "1e-10", "1e-50", "1e-300"]:
    q = mp.mpf(float(p))
    print(f"normal_quantile,{p},0,{mp.nstr(mp.findroot(lambda z: mp.log(mp.ncdf(z)) - mp.log(q), -mp.sqrt(-2 * mp.log(q)) if q < 0.4 else 0.5), 20)}")
for df in ["1", "2", "3", "5", "10", "30", "99.5", "400"]:
    for t in ["0.01", "0.5", "1", "2", "3.5", "7", "20", "100"]:
        print(f"t,{t},{df},{mp.nstr(student(float(t), float(df)), 20)}")
for df in ["5000", "1000000"]:
    for t in ["0.5", "1", "2", "3.5", "7", "20"]:
        print(f"t,{t},{df},{mp.nstr(student(float(t), float(df)), 20)}")
for df in ["1", "2", "5", "30", "400"]:
    for p in ["0.5", "0.1", "0.05", "0.001"]:
        q = mp.mpf(float(p))
        start = -mp.sqrt(2) * mp.erfinv(q - 1)
        if df in ("1", "2"):
            start = mp.tan(mp.pi * (1 - q) / 2) if df == "1" else (1 - q) * mp.sqrt(2 / (q * (2 - q)))
        print(f"t_quantile,{p},{df},{mp.nstr(mp.findroot(lambda t: mp.log(student(t, float(df))) - mp.log(q), start), 20)}")
