"""Series as a member of the ensemble sees them: transformed, standardised."""

import dataclasses
from typing import Any, Self

import numpy as np

# Ends of what a logarithm is taken back from: beyond them is no forecast.
_LARGEST = 700.0
# Centres keep their digits as two float32 numbers: 1e6 +- 1e-4 must work.
_FIELDS = ("power", "offset", "centre", "centre_rest", "scale")


@dataclasses.dataclass(frozen=True)
class Transformation:
    """u = (boxcox(y + offset; power) - centre) / scale.

    Attributes:
        power: Power of the Box-Cox transformation: 0 is the logarithm, 1 none.
        offset: What is added first, where values reach 0.
        centre: About the first level, after the transformation.
        scale: Mean absolute seasonal difference, after the transformation.
    """

    power: float
    offset: float
    centre: float
    scale: float

    def forward(self, values: Any) -> np.ndarray:
        """Returns standardised values; NaN stays, as does what is missing."""
        values = np.asarray(values, "float64")
        if self.offset:
            # A later value below all of the past must have an image, too.
            values = np.maximum(values + self.offset, 1e-3 * self.offset)
        return (box_cox(values, self.power) - self.centre) / self.scale

    def backward(self, values: Any) -> np.ndarray:
        """Returns values in their own units."""
        values = np.asarray(values, "float64") * self.scale + self.centre
        if self.power == 0:
            return np.exp(np.minimum(values, _LARGEST)) - self.offset
        if self.power == 1:
            return values - self.offset
        root = np.maximum(self.power * values + 1, 0)
        return root ** (1 / self.power) - self.offset

    def log_jacobian(self, values: Any) -> float:
        """Returns log |du/dy|, summed over what is observed."""
        values = np.asarray(values, "float64")
        values = values[np.isfinite(values)] + self.offset
        curved = 0.0
        if self.power != 1:
            curved = (self.power - 1) * np.sum(np.log(values))
        return float(curved - len(values) * np.log(self.scale))

    def numbers(self) -> np.ndarray:
        """Returns the transformation as float32 numbers, for a file."""
        rest = self.centre - float(np.float32(self.centre))
        return np.array(
            [self.power, self.offset, self.centre, rest, self.scale], "float32"
        )

    @classmethod
    def from_numbers(cls, numbers: Any) -> Self:
        """Returns the transformation that has these numbers."""
        power, offset, centre, rest, scale = map(float, numbers)
        # 0.1 in float32 is not 0.1; powers have few digits.
        return cls(round(power, 4), offset, centre + rest, scale)


NUM_FIELDS = len(_FIELDS)


def box_cox(values: np.ndarray, power: float) -> np.ndarray:
    """Returns (y^power - 1) / power; log y for 0, y for 1."""
    if power == 0:
        return np.log(values)
    return values if power == 1 else (values**power - 1) / power


def can_transform(values: np.ndarray, power: float) -> bool:
    """Returns whether all values have an image.

    Args:
        values: Array with NaN where missing.
        power: Power of the Box-Cox transformation.
    """
    smallest = np.nanmin(values)
    return bool(power == 1 or smallest > 0 or (power > 0 and smallest >= 0))


def make_transformation(
    values: np.ndarray, power: float, season: int
) -> Transformation:
    """Returns the transformation that suits the past of a series.

    Args:
        values: `(time,)`, NaN where missing; nothing later than the past.
        power: Power of the Box-Cox transformation.
        season: Number of steps of the season; 1 for none.
    """
    observed = values[np.isfinite(values)]
    offset = 0.0
    if power != 1 and observed.min() <= 0:
        whole = np.all(observed == np.round(observed))
        positive = observed[observed > 0]
        # Anscombe's for counts; below the smallest value for others.
        offset = 0.375 if whole or not len(positive) else positive.min() / 2
    plain = Transformation(power, float(offset), 0.0, 1.0)
    changed = plain.forward(values)
    first = changed[np.isfinite(changed)][: max(season, 3)]
    centre = float(np.mean(first))
    return Transformation(
        power, float(offset), centre, _scale(changed, season, centre)
    )


def _scale(values: np.ndarray, season: int, centre: float) -> float:
    """Returns the mean absolute seasonal difference, or what there is of it."""
    floor = 1e-6 * max(abs(centre), 1e-6)
    for lag in dict.fromkeys((season, 1)):
        differences = np.abs(values[lag:] - values[:-lag])
        differences = differences[np.isfinite(differences)]
        if len(differences) and differences.mean() > floor:
            return float(differences.mean())
    spread = np.nanstd(values)
    return float(spread) if spread > floor else max(abs(centre), 1.0) * 1e-3


def season_amplitude(values: np.ndarray, season: int) -> float:
    """Returns the standard deviation of a season's pattern, roughly.

    Args:
        values: Standardised values `(time,)`, NaN where missing.
        season: Number of steps of the season; 1 for none.
    """
    if season <= 1 or len(values) < season:
        return 0.0
    filled = np.where(np.isfinite(values), values, np.nanmean(values))
    trend = np.convolve(filled, np.ones(season) / season, "same")
    return float(np.nanstd((values - trend)[: 3 * season]))
