"""A picture of the gaps between bounds and the exact log evidence."""

from recipes.ghmm.config import PROPOSALS
from recipes.ghmm.plots import panels
from recipes.pictures import TEXT

# By what a proposal sees: nothing, x_t, or x_t:T; learned ones are dashed.
_STYLES = {
    "transition": ("#777777", "o", "-"),
    "linear_filtering": ("#7fb8e6", "s", "--"),
    "filtering": ("#3b82c4", "^", "--"),
    "exact_filtering": ("#123f73", "D", "-"),
    "linear_smoothing": ("#f2a65a", "s", "--"),
    "smoothing": ("#d9572b", "^", "--"),
    "exact_smoothing": ("#8c1c13", "D", "-"),
}
_LABELS = {
    "transition": "transition",
    "linear_filtering": "linear filtering, learned",
    "filtering": "amortised filtering, learned",
    "exact_filtering": "exact filtering",
    "linear_smoothing": "linear smoothing, learned",
    "smoothing": "amortised smoothing, learned",
    "exact_smoothing": "exact smoothing",
}
_TITLES = {
    "elbo": "ELBO: means of one-particle bounds",
    "iwae": "IWAE: never resamples",
    "fivo": "FIVO: resamples at half the ESS",
}


def plot_gaps(path, gaps):
    """Draws gaps against the number of particles, a panel for each bound.

    Args:
        path: Path of the PNG file.
        gaps: List of `recipes.experiments.gap_measurement.Gap`.
    """
    bounds = list(dict.fromkeys(gap.bound for gap in gaps))
    size = (3.6 * len(bounds) + 1.0, 4.8)
    with panels(path, size, columns=len(bounds), dpi=90, sharey=True) as (
        figure,
        axes,
    ):
        for each, bound in zip(axes[0], bounds, strict=True):
            for proposal in PROPOSALS:
                _draw_gaps(
                    each,
                    [
                        gap
                        for gap in gaps
                        if (gap.bound, gap.proposal) == (bound, proposal)
                    ],
                    proposal,
                )
            each.set_xscale("log", base=2)
            # Linear below, so that 0 is there.
            each.set_yscale("symlog", linthresh=1e-3)
            each.set_title(_TITLES[bound], fontsize=10, loc="left")
            ticks = sorted({gap.num_particles for gap in gaps})[::2]
            each.set_xticks(ticks, [str(tick) for tick in ticks])
            each.minorticks_off()
            each.set_xlabel("particles", fontsize=9, color=TEXT)
        lowest = min(gap.mean for gap in gaps)
        axes[0, 0].set_ylim(min(-4e-4, 1.5 * lowest), None)
        axes[0, 0].set_ylabel(
            "exact log evidence - mean bound,\nnats per sequence",
            fontsize=9,
            color=TEXT,
        )
        figure.legend(
            *axes[0, 0].get_legend_handles_labels(),
            loc="outside lower center",
            ncols=4,
            frameon=False,
            fontsize=9,
        )


def _draw_gaps(axes, gaps, proposal):
    if not gaps:
        return
    colour, marker, line = _STYLES[proposal]
    axes.errorbar(
        [gap.num_particles for gap in gaps],
        [gap.mean for gap in gaps],
        yerr=[gap.error for gap in gaps],
        color=colour,
        marker=marker,
        markersize=4,
        linestyle=line,
        linewidth=1.3,
        elinewidth=0.8,
        label=_LABELS[proposal],
    )
