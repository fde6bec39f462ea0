"""Members of the ensemble: which there are, how they are fitted and weighed."""

import dataclasses

import keras
import numpy as np
from keras import ops

from keras_fivo import structural
from recipes.errors import RecipeError
from recipes.table.batches import batches_of

# A column that is known ahead moves a series by so many scales, a priori.
_KNOWN_VARIANCE = 1.0
_SEASON_FLOOR = 0.3


@dataclasses.dataclass(frozen=True)
class Member:
    """What one member of the ensemble assumes.

    Attributes:
        power: Power of the Box-Cox transformation.
        damped: Whether the slope is damped.
        stationary: Whether the level stays, without a slope.
        cycle: Period at which the cycle starts, in seasons; 0: none, an
            autoregression.
    """

    power: float
    damped: bool = True
    stationary: bool = False
    cycle: float = 0.0


def members_of(settings):
    """Returns the members that the settings describe.

    Every power with a damped slope, and stationary; the ends of the powers also
    without damping; every power with a cycle of the first period, and the
    middle ones with those of the others.
    """
    powers = tuple(dict.fromkeys(settings.powers))
    ends = dict.fromkeys((min(powers), max(powers)))
    middle = [one for one in powers if one not in ends] or list(ends)
    found = [Member(power) for power in powers]
    found += [Member(power, stationary=True) for power in powers]
    found += [Member(power, damped=False) for power in ends]
    for number, cycle in enumerate(settings.cycles):
        found += [
            Member(power, cycle=cycle)
            for power in (middle if number else powers)
        ]
    return found


def build_forecaster(panel, ends, settings):
    """Returns a model of all members of all series, at the prior's mean.

    Args:
        panel: `Panel`.
        ends: Number of steps of each series that may be seen.
        settings: `ModelSettings`.

    Raises:
        RecipeError: A series has values that no power can transform.
    """
    names = ("series", "damped", "stationary", "frequency", "slope_variance")
    columns = {name: [] for name in names}
    transformations, variances, season = [], [], panel.season
    model_of = {
        "seasons": panel.seasons,
        "harmonics": settings.harmonics,
        "num_known": len(panel.known),
        "prior_scale": settings.prior_scale,
    }
    harmonics = structural.StructuralForecaster(
        1, **{**model_of, "num_known": 0}
    )
    for number, (one, end) in enumerate(zip(panel.series, ends, strict=True)):
        past = one.values[:end]
        for member in members_of(settings):
            if not structural.can_transform(past, member.power):
                continue
            made = structural.make_transformation(past, member.power, season)
            amplitude = structural.season_amplitude(made.forward(past), season)
            first = 1.5 * max(_SEASON_FLOOR, amplitude) ** 2
            transformations.append(made.numbers())
            variances.append(
                [first] * harmonics.num_coefficients
                + [_KNOWN_VARIANCE] * len(panel.known)
            )
            period = member.cycle * season
            columns["series"].append(number)
            columns["damped"].append(member.damped)
            columns["stationary"].append(member.stationary)
            columns["frequency"].append(2 * np.pi / period if period else 0.0)
            columns["slope_variance"].append((2 / (season + 1)) ** 2)
        if number not in columns["series"]:
            raise RecipeError(
                "A power of 0 needs values above 0, others below 1 need none "
                "below 0: let 1 be among `powers`. Received: powers="
                f"{settings.powers} and {one.name!r} with {np.nanmin(past):g}."
            )
    model = structural.StructuralForecaster(len(transformations), **model_of)
    model.start(transformations, columns, variances)
    return model


def fit_forecaster(model, panel, ends, settings, report=None):
    """Fits each row by its posterior density, and weighs the members.

    Args:
        model: As from `build_forecaster`, of the same arguments.
        panel: `Panel`.
        ends: Number of steps of each series that may be seen.
        settings: `ModelSettings`.
        report: Called with the number of rows that are done. Default: `None`.

    Returns:
        Log posterior densities of rows, `(rows,)`, in nats and in the units of
        the data.
    """
    model.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(
                settings.learning_rate, settings.updates, alpha=0.02
            ),
            beta_1=0.8,
            beta_2=0.95,
            epsilon=1e-6,
        )
    )
    model.optimizer.build(model.trainable_variables)
    found = np.zeros(model.num_rows)
    for batch in batches_of(model, panel, ends, settings.batch_size):
        for variable in model.optimizer.variables:
            variable.assign(ops.zeros_like(variable.value))
        model.fit(_Repeated(batch.inputs, settings.updates), verbose=0)
        found[batch.rows] = batch.evidence(model)
        if report is not None:
            report(int(batch.rows.max()) + 1)
    raw = ops.convert_to_numpy(model.raw)
    found += ops.convert_to_numpy(
        structural.log_prior(raw, settings.prior_scale)
    )
    found += _log_jacobians(model, panel, ends)
    model.log_weights.assign(
        log_weights(found, model.series_of_rows, settings.temperature)[:, None]
    )
    return found


def log_weights(log_densities, series, temperature):
    """Returns the log weights of rows, normalised within each series.

    Args:
        log_densities: `(rows,)`, in nats.
        series: Int `(rows,)`, the series that rows belong to.
        temperature: What log densities are divided by.
    """
    tempered = np.where(
        np.isfinite(log_densities), log_densities, -1e9
    ) / float(temperature)
    found = np.zeros(len(tempered))
    for one in np.unique(series):
        own = series == one
        found[own] = tempered[own] - np.logaddexp.reduce(tempered[own])
    return np.maximum(found, -1e9)


def _log_jacobians(model, panel, ends):
    return np.array(
        [
            made.log_jacobian(panel.series[number].values[: ends[number]])
            for made, number in zip(
                model.transformations_of_rows,
                model.series_of_rows,
                strict=True,
            )
        ]
    )


class _Repeated(keras.utils.PyDataset):
    """One batch, as often as there are updates."""

    def __init__(self, inputs, times):
        super().__init__()
        self.inputs, self.times = inputs, times

    def __len__(self):
        return self.times

    def __getitem__(self, index):
        return (self.inputs,)
