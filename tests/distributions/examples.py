"""One distribution of independent entries of each kind, and what SciPy says."""

import numpy as np
import scipy.special
import scipy.stats
from keras import ops

import keras_fivo as kf

LOC = np.float32([-2.0, -0.3, 0.0, 0.7, 3.0])
SCALE = np.float32([0.1, 2.0, 1.0, 0.5, 3.0])
LOGITS = np.float32([[0.0, 1.0, -1.0], [2.0, 0.0, 0.0]])
LOCS = np.float32([[-2.0, 0.5, 3.0], [0.0, 0.1, -0.4]])
SCALES = np.float32([[0.1, 1.0, 0.5], [0.3, 0.05, 2.0]])


def tensor(x):
    return ops.convert_to_tensor(np.asarray(x, "float32"))


def rows(x, count):
    """Repeats parameters `(entries, ...)` to `(count, entries, ...)`."""
    x = np.asarray(x, "float32")
    return tensor(np.broadcast_to(x, (count, *x.shape)))


def array(x):
    return ops.convert_to_numpy(x).astype("float64")


class Example:
    """A distribution of independent entries.

    Attributes:
        make: Rows to a distribution with that many equal rows.
        entries: Number of entries of a row.
        values: Values in the support, `(n, entries)`.
        log_prob: Exact log densities of such values.
        mean: Exact means, `(entries,)`.
        variance: Exact variances, `(entries,)`.
    """

    def __init__(self, cls, parameters, frozen, values, constants=None):
        self.cls = cls
        self.parameters = parameters
        self.constants = constants or {}
        self.frozen = frozen
        self.entries = len(next(iter(parameters.values())))
        self.values = np.float32(
            np.broadcast_to(
                np.asarray(values)[:, None], (len(values), self.entries)
            )
        )

    def make(self, count):
        repeated = {k: rows(v, count) for k, v in self.parameters.items()}
        return self.cls(**repeated, **self.constants)

    def log_prob(self, values):
        values = values.astype("float64")
        discrete = hasattr(self.frozen, "logpmf")
        function = self.frozen.logpmf if discrete else self.frozen.logpdf
        return function(values)

    @property
    def mean(self):
        return np.asarray(self.frozen.mean())

    @property
    def variance(self):
        return np.asarray(self.frozen.var())


class Mixture:
    """A mixture in NumPy, from functions of value, loc and scale."""

    def __init__(self, log_density, variance_factor):
        self.log_density = log_density
        self.variance_factor = variance_factor
        self.weights = scipy.special.softmax(LOGITS.astype("float64"), -1)

    def logpdf(self, values):
        parts = self.log_density(values[..., None], LOCS, SCALES)
        return scipy.special.logsumexp(parts + np.log(self.weights), axis=-1)

    def mean(self):
        return np.sum(self.weights * LOCS, -1)

    def var(self):
        second = self.variance_factor * SCALES.astype("float64") ** 2 + (
            LOCS.astype("float64") ** 2
        )
        return np.sum(self.weights * second, -1) - self.mean() ** 2


class Table:
    """Probabilities of listed values, `(entries, values)`."""

    def __init__(self, values, probabilities):
        self.values = np.asarray(values, "float64")
        self.probabilities = probabilities

    def logpmf(self, values):
        index = np.argmin(np.abs(values[..., None] - self.values), axis=-1)
        entries = np.arange(values.shape[-1])
        return np.log(self.probabilities[entries, index])

    def mean(self):
        return self.probabilities @ self.values

    def var(self):
        return self.probabilities @ self.values**2 - self.mean() ** 2


class Rounded:
    """A Normal rounded to multiples of a quarter."""

    def logpmf(self, values):
        normal = scipy.stats.norm(LOC.astype(float), SCALE.astype(float))
        distance = np.abs(values - normal.mean())
        near, far = distance - 0.125, distance + 0.125
        centred = scipy.stats.norm(0, normal.std())
        log_near, log_far = centred.logsf(near), centred.logsf(far)
        return log_near + np.log1p(-np.exp(log_far - log_near))

    def _moment(self, power):
        grid = np.arange(-120, 121)[:, None] * 0.25
        return np.sum(np.exp(self.logpmf(grid)) * grid**power, axis=0)

    def mean(self):
        return self._moment(1)

    def var(self):
        return self._moment(2) - self._moment(1) ** 2


GRID = np.linspace(-1, 2, 7)


def _logistic_table():
    weights = scipy.special.softmax(LOGITS.astype("float64"), -1)
    edges = np.r_[-np.inf, (GRID[1:] + GRID[:-1]) / 2, np.inf]
    cdf = scipy.special.expit(
        (edges[:, None, None] - LOCS) / SCALES.astype("float64")
    )
    return Table(GRID, np.sum(np.diff(cdf, axis=0) * weights, -1).T)


def _categorical_table():
    probabilities = scipy.special.softmax(LOGITS.astype("float64"), -1)
    return Table(np.arange(3), probabilities)


RATES = np.float32([1e-3, 0.4, 3.0, 30.0, 150.0])
COUNTS = np.float32([0.5, 5.0, 2.0, 100.0, 20.0])
DEGREES = np.float32([5.0, 8.0, 12.0, 40.0, 1e6])
_RATES = np.exp(np.log(RATES).astype("float64"))
_MIXED = {"logits": LOGITS, "loc": LOCS, "scale": SCALES}
_SCALED = {"loc": LOC, "scale": SCALE}
_REAL = np.r_[-50, np.linspace(-6, 6, 25), 50]
_WHOLE = np.r_[0:12, 30, 100, 150, 400]

EXAMPLES = {
    "normal": Example(kf.Normal, _SCALED, scipy.stats.norm(LOC, SCALE), _REAL),
    "laplace": Example(
        kf.Laplace, _SCALED, scipy.stats.laplace(LOC, SCALE), _REAL
    ),
    "student_t": Example(
        kf.StudentT,
        {"degrees": DEGREES, **_SCALED},
        scipy.stats.t(DEGREES.astype(float), LOC, SCALE),
        _REAL,
    ),
    "quantized_normal": Example(
        kf.QuantizedNormal,
        _SCALED,
        Rounded(),
        np.arange(-12, 13) * 0.25,
        {"width": 0.25},
    ),
    "normal_mixture": Example(
        kf.NormalMixture, _MIXED, Mixture(scipy.stats.norm.logpdf, 1.0), _REAL
    ),
    "discretized_logistic_mixture": Example(
        kf.DiscretizedLogisticMixture,
        _MIXED,
        _logistic_table(),
        GRID,
        {"low": -1.0, "high": 2.0, "num_bins": 7},
    ),
    "bernoulli": Example(
        kf.Bernoulli,
        {"logits": LOC},
        scipy.stats.bernoulli(scipy.special.expit(LOC.astype("float64"))),
        np.arange(2),
    ),
    "categorical": Example(
        kf.Categorical, {"logits": LOGITS}, _categorical_table(), np.arange(3)
    ),
    "poisson": Example(
        kf.Poisson,
        {"log_rate": np.log(RATES)},
        scipy.stats.poisson(_RATES),
        _WHOLE,
    ),
    "negative_binomial": Example(
        kf.NegativeBinomial,
        {"log_mean": np.log(RATES), "total_count": COUNTS},
        scipy.stats.nbinom(COUNTS, COUNTS / (COUNTS + _RATES)),
        _WHOLE,
    ),
}
