"""Makes stats.csv: values of the functions of `stats` with 50 digits, rounded to 20.

    python stats.py [times] > stats.csv        needs mpmath; takes minutes

Rows are `function,arguments...,value`. Arguments are binary numbers and written so that they are read back exactly.
With `times` above 1 the random part of the table is that many times as long.

No formula of the code under test is used: incomplete functions are hypergeometric series where those converge, and else
integrals of the density over pieces around its scale; where both work they are compared.
"""

import random
import sys

from mpmath import mp, mpf

mp.dps = 60
TIMES = int(sys.argv[1]) if len(sys.argv) > 1 else 1
SMALLEST = mpf(10) ** -305
random.seed(20)


def pieces(scale, end):
    """0, then ever longer steps of the scale, then the end."""
    at, points = mpf(scale) / 2, [mpf(0)]
    while at < end and len(points) < 14:
        points.append(at)
        at *= 2
    return points + [mpf(end)] if end < mp.inf else points


def beta_by_integral(a, b, x, y):
    """I_x(a, b) for x below the mean."""
    # t = x (1 - v)
    log = a * mp.log(x) + (b - 1) * mp.log(y) - mp.loggamma(a) - mp.loggamma(b) + mp.loggamma(a + b)
    slope = (a - 1) - (b - 1) * x / y
    scale = 1 / (abs(slope) + mp.sqrt(a + b * (x / y) ** 2))

    def g(v):
        if v >= 1:
            return mpf(0)
        return mp.exp((a - 1) * mp.log1p(-v) + (b - 1) * mp.log1p(x * v / y))

    return mp.exp(log) * mp.quad(g, pieces(scale, mpf(1)))


def beta_by_series(a, b, x, y):
    log = a * mp.log(x) + b * mp.log(y) - mp.loggamma(a) - mp.loggamma(b) + mp.loggamma(a + b)
    term = total = mpf(1)
    n = 0
    while term > total * mpf(10) ** -62:
        n += 1
        term *= (a + b + n - 1) * x / (a + n)
        total += term
    return mp.exp(log) * total / a


def beta(a, b, x, y):
    """I_x(a, b) and its complement."""
    if a * y < b * x:
        lower, upper = beta(b, a, y, x)
        return upper, lower
    # Terms of the series.
    length = 140 / -mp.log(x * (a + b) / (a + 1) * mpf("0.999999")) if x * (a + b) < a + 1 else mp.inf
    near = min(length, 140 / y + 140 * mp.sqrt(a) if y > 0 else mp.inf)
    if near < 200000:
        lower = beta_by_series(a, b, x, y)
        if a > 30 and b > 30 and random.random() < 0.05:
            other = beta_by_integral(a, b, x, y)
            assert abs(other / lower - 1) < mpf(10) ** -35, (a, b, x, other, lower)
    else:
        lower = beta_by_integral(a, b, x, y)
    return lower, 1 - lower


def gamma(a, x):
    """P(a, x) and Q(a, x)."""
    if x < a + 1:
        if a < 1e5:
            lower = mp.gammainc(a, 0, x, regularized=True)
        else:
            log = a * mp.log(x) - x - mp.loggamma(a)
            scale = 1 / (abs(a - 1 - x) + mp.sqrt(a))
            g = lambda v: mp.exp((a - 1) * mp.log1p(-v) + x * v) if v < 1 else mpf(0)
            lower = mp.exp(log) * mp.quad(g, pieces(scale, mpf(1)))
        return lower, 1 - lower
    log = a * mp.log(x) - x - mp.loggamma(a)
    scale = 1 / (abs(x - a + 1) + mp.sqrt(a))
    g = lambda v: mp.exp((a - 1) * mp.log1p(v) - x * v)
    upper = mp.exp(log) * mp.quad(g, pieces(scale, mp.inf))
    if a < 300 and random.random() < 0.3:
        other = mp.gammainc(a, x, mp.inf, regularized=True)
        assert abs(other / upper - 1) < mpf(10) ** -35, (a, x, other, upper)
    return 1 - upper, upper


def student(t, df):
    """The two-sided p-value and its complement."""
    total = df + t * t
    return beta(df / 2, mpf(1) / 2, df / total, t * t / total)


def fisher(f, d1, d2):
    total = d2 + d1 * f
    return beta(d2 / 2, d1 / 2, d2 / total, d1 * f / total)[0]


def student_quantile(p, df):
    """For p below 1/2: Newton's steps on the logarithm of the smaller side, from a rough start."""
    tail = 2 * p
    t = mp.sqrt(df * mp.expm1(-2 / df * mp.log(tail))) if tail < mpf("0.4") else 1 - tail
    for _ in range(20):
        above, within = student(t, df)
        slope = 2 * t * mp.exp(
            mp.loggamma((df + 1) / 2) - mp.loggamma(df / 2) - (df + 1) / 2 * mp.log1p(t * t / df)
        ) / mp.sqrt(df * mp.pi)
        if tail < mpf("0.4"):
            step = mp.log(above / tail) * above / slope
        else:
            step = mp.log((1 - tail) / within) * within / slope
        t *= mp.exp(step)
        if abs(step) < mpf(10) ** -26:
            return -t
    raise ArithmeticError((p, df, t, step))


def double(x):
    return mpf(float(x))


def row(name, *numbers):
    *arguments, value = numbers
    print(",".join([name] + [repr(float(a)) for a in arguments] + [mp.nstr(value, 20)]))


def log_uniform(low, high):
    return double(mp.exp(random.uniform(float(mp.log(low)), float(mp.log(high)))))


def some_df(low=1):
    kind = random.random()
    if kind < 0.4:
        return double(round(log_uniform(low, 1000)))
    return log_uniform(low, 1e6) if kind < 0.7 else double(round(log_uniform(low, 1e9)))


def normal_rows():
    grid = [0, 1e-300, 1e-10, 0.1, 0.5, 1, 1.2, 1.25, 1.3, 1.96, 2, 3, 5, 8, 12, 20, 30, 35, 37, 37.4]
    grid += [random.uniform(0, 37.4) for _ in range(5 * TIMES)] + [random.uniform(0, 3) for _ in range(5 * TIMES)]
    for z in map(mpf, grid):
        row("two_sided_normal", z, mp.erfc(z / mp.sqrt(2)))
        for side in (z, -z):
            row("normal_cdf", side, mp.erfc(-side / mp.sqrt(2)) / 2)
    grid = [1e-305, 1e-200, 1e-100, 1e-20, 1e-5, 0.001, 0.025, 0.2, 0.299, 0.3, 0.301, 0.49, 0.4999999999, 0.5000001]
    grid += [0.6, 0.699, 0.7, 0.701, 0.95, 0.975, 0.999, 0.9999999]
    grid += [random.random() for _ in range(5 * TIMES)] + [10 ** random.uniform(-300, 0) for _ in range(5 * TIMES)]
    for p in map(mpf, grid):
        # 50 digits of the result need as many of 1 - 2 p.
        with mp.workdps(60):
            near = -mp.sqrt(-2 * mp.log(p)) if p < 0.4 else (p - mpf(1) / 2) * mp.sqrt(2 * mp.pi)
            if p > 0.6:
                near = mp.sqrt(-2 * mp.log(1 - p))
            for _ in range(200):
                tail = mp.erfc(abs(near) / mp.sqrt(2)) / 2
                mills = tail * mp.sqrt(2 * mp.pi) * mp.exp(near * near / 2)
                if abs(p - mpf(1) / 2) > mpf("0.2"):
                    step = mp.log(tail / min(p, 1 - p)) * mills
                    step = step if near > 0 else -step
                else:
                    step = (p - mpf(1) / 2 - mp.erf(near / mp.sqrt(2)) / 2) * mp.sqrt(2 * mp.pi) * mp.exp(near * near / 2)
                near += step
                if abs(step) < abs(near) * mpf(10) ** -50:
                    break
        row("normal_quantile", p, near)


def student_rows():
    cases = []
    for df in [1, 1.5, 2, 3, 4.5, 10, 30, 99, 100, 101, 1000, 1e6, 1e9]:
        for t in [1e-8, 0.01, 0.5, 1, 1.000001, 2, 5, 36, 100, 1e5, 1e20, 1e99, 1e101, 1e150, 1e300]:
            if random.random() < 0.35:
                cases.append((mpf(t), mpf(df)))
    for _ in range(25 * TIMES):
        cases.append((double(mp.sqrt(log_uniform(1e-3, 3e3))), some_df()))
    for _ in range(25 * TIMES):
        # A tail of about this size.
        df = some_df()
        size = random.uniform(0, 690)
        t = mp.sqrt(df * mp.expm1(2 * size / df)) if size / df < 340 else mpf(10) ** 200
        cases.append((double(t), df))
    for t, df in cases:
        tail, within = student(t, df)
        if tail > SMALLEST:
            row("two_sided_t", t, df, tail)
            if random.random() < 0.3:
                row("student_t_cdf", -t, df, tail / 2)
                row("student_t_cdf", t, df, 1 - tail / 2)


def student_quantile_rows():
    cases = [(p, df) for df in [1, 2, 5, 29, 120, 1e6, 1e9] for p in [1e-300, 1e-20, 0.005, 0.025, 0.3]]
    for _ in range(8 * TIMES):
        cases.append((10 ** random.uniform(-300, -1), some_df()))
        cases.append((random.uniform(0, 0.5), some_df()))
    for p, df in cases:
        p = double(p)
        row("student_t_quantile", p, df, student_quantile(p, mpf(df)))
        if random.random() < 0.5 and p > 1e-6:
            p = double(1 - p)
            row("student_t_quantile", p, df, -student_quantile(1 - p, mpf(df)))


def fisher_rows():
    cases = []
    for d1 in [1, 2, 5, 99, 100, 101, 1e3]:
        for d2 in [1, 2, 10, 99, 100, 101, 1e6, 1e9]:
            for f in [1e-6, 0.1, 0.9, 1, 1.01, 1.1, 2, 10, 100, 1e4, 1e200]:
                if random.random() < 0.06:
                    cases.append((mpf(f), mpf(d1), mpf(d2)))
    for _ in range(60 * TIMES):
        d1, d2 = double(min(some_df(), mpf(10) ** 6)), some_df()
        # Some standard deviations off the middle, in the logarithm.
        width = mp.sqrt(2 / d1 + 2 / d2)
        cases.append((double(mp.exp(width * random.choice([1, 1, 4, 20]) * random.uniform(-1, 1.8))), d1, d2))
    for f, d1, d2 in cases:
        tail = fisher(f, d1, d2)
        if tail > SMALLEST:
            row("f_upper_tail", f, d1, d2, tail)


def chi2_rows():
    cases = [(x, k) for k in [1, 2, 3, 99, 100, 101, 1e3, 1e6] for x in [1e-10, 0.5 * k, k, k + 0.001, 2 * k, 30 * k]]
    for _ in range(25 * TIMES):
        k = some_df()
        x = k + mp.sqrt(2 * k) * random.choice([1, 3, 40]) * random.uniform(-1, 1)
        cases.append((x, k))
        cases.append((k * mp.exp(random.uniform(-1, 5) / mp.sqrt(k)), k))
    for x, k in cases:
        x, k = double(x), mpf(k)
        if x <= 0:
            continue
        lower, upper = gamma(k / 2, x / 2)
        if upper > SMALLEST:
            row("chi2_upper_tail", x, k, upper)
        if lower > SMALLEST and random.random() < 0.3:
            row("gamma_lower", k / 2, x / 2, lower)


def beta_rows():
    for _ in range(30 * TIMES):
        a, b = some_df() / 2, some_df() / 2
        width = 1 / mp.sqrt(a) + 1 / mp.sqrt(b)
        odds = a / b * mp.exp(width * random.choice([1, 4, 20]) * random.uniform(-1, 1))
        x = double(odds / (1 + odds))
        if 0 < x < 1:
            lower = beta(a, b, x, 1 - x)[0]
            if lower > SMALLEST:
                row("beta_lower", a, b, x, lower)


def ln_gamma_rows():
    grid = [1e-300, 1e-5, 0.1, 0.499999, 0.5, 0.9, 0.99999999, 1.00000001, 1.1, 1.4616321449683623, 1.499999, 1.5]
    grid += [1.99999999, 2.00000001, 2.1, 2.5, 2.500001, 3, 10, 14.999, 15, 15.001, 100, 1e5, 1e9, 1e100, 1e300, 2.5e305]
    grid += [random.uniform(0, 5) for _ in range(5 * TIMES)] + [random.uniform(5, 30) for _ in range(5 * TIMES)]
    for x in map(mpf, grid):
        row("ln_gamma", x, mp.loggamma(x))


for rows in (
    normal_rows,
    student_rows,
    student_quantile_rows,
    fisher_rows,
    chi2_rows,
    beta_rows,
    ln_gamma_rows,
):
    rows()
    sys.stdout.flush()
