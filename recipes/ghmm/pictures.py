"""Pictures of what particles find of a chain, beside the exact answers."""

import numpy as np

from recipes.ghmm import posterior
from recipes.ghmm.plots import panels
from recipes.pictures import MADE, TEXT

_EXACT = "#2f5d8f"
_TRUTH = "#222222"


def draw_chain(
    path,
    model,
    observations,
    latents,
    prefix_length,
    mask=None,
    num_particles=32,
    num_samples=200,
    lag=3,
    seed=0,
):
    """Draws all that is known of a sequence, by particles and exactly.

    Args:
        path: Path of the PNG file.
        model: `keras_fivo.LatentSequenceModel` of a one-dimensional chain.
        observations: `(steps, 1)`.
        latents: `(steps, 1)`. What was behind them.
        prefix_length: int. Steps that the forecast is given.
        mask: Bool `(steps,)`, True = observed. Default: all are.
        num_particles: int. Default: 32.
        num_samples: Number of samples of a forecast. Default: 200.
        lag: Number of later steps of fixed-lag smoothing. Default: 3.
        seed: Seed of the noise. Default: 0.

    Returns:
        The samples of the forecast, `(num_samples, steps - prefix_length)`.
    """
    if mask is None:
        mask = np.ones(len(observations), "bool")
    batch = {"observations": observations[None], "mask": mask[None]}
    prefix = {name: value[:, :prefix_length] for name, value in batch.items()}
    total = len(observations)
    steps = np.arange(1, total + 1)
    truth = (steps, latents[:, 0])
    seen = (steps[mask], observations[mask, 0])
    options = {"num_particles": num_particles, "seed": seed}
    with panels(path, (12.0, 6.4), rows=2, columns=3, dpi=96) as (
        figure,
        axes,
    ):
        places = iter(axes.ravel())
        each = next(places)
        _draw(each, steps, *posterior.filtering(model, batch, **options))
        _decorate(each, "Filtering: z_t given x_1:t", truth, seen)
        exact, _ = posterior.smoothing(model, batch, "exact", **options)
        for method, title in (
            ("ancestral", "Smoothing, ancestral: z_t given x_1:T"),
            ("fixed_lag", f"Smoothing, fixed lag: z_t given x_1:t+{lag}"),
            ("backward", "Smoothing, backward simulation"),
        ):
            each = next(places)
            found, paths = posterior.smoothing(
                model, batch, method, lag=lag, **options
            )
            # What has a lag makes no paths.
            paths = [] if method == "fixed_lag" else paths[:12]
            _draw(each, steps, found, exact, paths)
            _decorate(each, title, truth, seen)
        each = next(places)
        found, exact, samples = posterior.forecast(
            model, prefix, total - prefix_length, num_samples, **options
        )
        _draw(each, steps[prefix_length:], found, exact, samples[:12])
        _decorate(each, f"Forecast: x_t given x_1:{prefix_length}", None, seen)
        each = next(places)
        _draw(
            each,
            steps,
            *_three(posterior.prior(model, total, num_samples, seed)),
        )
        _decorate(each, "Samples: x_t given nothing", None, None)
        _share_limits(axes.ravel()[:4])
        _add_legend(figure)
    return samples


def _three(found):
    band, exact, samples = found
    return band, exact, samples[:12]


def _draw(axes, steps, found, exact, paths=()):
    axes.fill_between(
        steps, exact.low, exact.high, color=_EXACT, alpha=0.22, linewidth=0
    )
    axes.plot(steps, exact.mean, color=_EXACT, linewidth=1.6)
    for path in paths:
        axes.plot(steps, path, color=MADE, alpha=0.28, linewidth=0.7)
    axes.plot(steps, found.mean, color=MADE, linewidth=1.2)
    for edge in (found.low, found.high):
        axes.plot(steps, edge, color=MADE, linewidth=1.0, linestyle=(0, (3, 2)))


def _decorate(axes, title, truth, seen):
    label = "latent z_t" if truth is not None else "observation x_t"
    axes.set_ylabel(label, fontsize=9, color=TEXT)
    if truth is not None:
        axes.plot(*truth, color=_TRUTH, linewidth=0.9, linestyle=":")
    if seen is not None:
        axes.plot(
            *seen, color=_TRUTH, marker="o", markersize=2.6, linestyle="none"
        )
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel("step t", fontsize=9, color=TEXT)
    axes.xaxis.get_major_locator().set_params(integer=True)


def _share_limits(panels):
    limits = np.array([each.get_ylim() for each in panels])
    for each in panels:
        each.set_ylim(limits[:, 0].min(), limits[:, 1].max())


def _add_legend(figure):
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    figure.legend(
        handles=[
            Patch(
                color=_EXACT,
                alpha=0.35,
                label="exact mean ± 2 standard deviations",
            ),
            Line2D(
                [],
                [],
                color=MADE,
                label="particles or samples: mean or median, 95 % (dashed)",
            ),
            Line2D(
                [],
                [],
                color=MADE,
                alpha=0.4,
                linewidth=0.8,
                label="single paths",
            ),
            Line2D(
                [],
                [],
                color=_TRUTH,
                linewidth=0.9,
                linestyle=":",
                label="true latent",
            ),
            Line2D(
                [],
                [],
                color=_TRUTH,
                marker="o",
                markersize=3,
                linestyle="none",
                label="observation",
            ),
        ],
        loc="outside lower center",
        ncols=5,
        frameon=False,
        fontsize=9,
    )
