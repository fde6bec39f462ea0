"""Amortized variational filtering of video, a row of a table at a time.

`python -m recipes.experiments.refined_video`
"""

import pathlib
import sys
from typing import Any, ClassVar, Literal

from recipes.experiments.rows import (
    Row,
    RowSettings,
    Table,
    row_of,
)
from recipes.registry import recipe_of
from recipes.settings.base import (
    FilePath,
    FolderPath,
    Natural,
    Positive,
    PositiveFloat,
)
from recipes.settings.program import Program
from recipes.video.config import Side

Name = Literal["baseline", "refined-1", "started-1"]
# Free energies of the paper on KTH Actions, in nats per frame.
PUBLISHED = {"baseline": "15,097", "refined-1": "11,714"}
_SIZES: dict[str, Any] = {
    "blocks": (8, 16, 32),
    "convolutions": 1,
    "normalization": None,
    "latent_dim": 16,
    "units": 64,
    "batch_size": 8,
}
_REFINED: dict[str, Any] = {"proposal": "iterative", "update_units": (128,)}
_ROWS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "refined-1": _REFINED,
    "started-1": _REFINED | {"start": "filtering"},
}


class VideoSettings(RowSettings):
    """What the table can be told."""

    heading: ClassVar[str] = "Table"
    data_path: FilePath | None = None
    """File of the digits' images. If it is not set, those of MNIST or of
    scikit-learn; see the recipe."""
    rows: tuple[Name, ...] = ("baseline", "refined-1")
    """Names of the rows: a filtering proposal with an LSTM over the frames up
    to the step; the transition refined once; the filtering proposal refined
    once."""
    objective: Literal["joint", "em"] = "joint"
    """What trains refinements: `joint`, the bound; `em`, as in the paper, their
    own free energies."""
    side: Side = 32
    """Height and width of frames, in pixels."""
    num_frames: Positive = 12
    """Number of frames of a sequence."""
    updates: Positive = 10_000
    """Number of updates of a run."""
    kl_updates: Natural = 0
    """Number of updates in which the weight of KL divergences grows to 1; 0:
    none."""
    cpu_minutes: PositiveFloat | None = 60.0
    """Largest number of minutes of processor time of a run."""
    num_particles: Positive = 16
    """Number of particles in testing."""
    output: FolderPath = "runs/refined-video"
    """Folder of the runs, a folder each, and of table.md."""


def _row(settings: VideoSettings, name: Name, seed: int) -> Row:
    given = _SIZES | _ROWS[name]
    given |= {"objective": settings.objective} if _ROWS[name] else {}
    given["side"], given["num_frames"] = settings.side, settings.num_frames
    given["data_path"] = settings.data_path
    cells = (name, str(seed), PUBLISHED.get(name, ""))
    return row_of(settings, ("moving_digits", name), cells, seed, given)


TABLE = Table("row | seed | published, of KTH | free energy", _row)


def run(settings: VideoSettings) -> None:
    """Trains, tests and prints the rows; lets each go on with some videos."""
    TABLE.run(settings)
    recipe = recipe_of("moving_digits")
    for row in TABLE.rows(settings) if settings.train else ():
        samples = pathlib.Path(row.fit.folder).expanduser() / "samples"
        # What is written last.
        if not (samples / "frames.gif").is_file():
            from recipes.training.trained import run_sample

            half = settings.num_frames // 2
            run_sample(
                recipe.sample_settings.changed(
                    run=row.fit.folder, prefix_length=half, sample_length=half
                )
            )


PROGRAM = Program(
    "python -m recipes.experiments.refined_video",
    "Trains and tests rows of the video table of Marino et al. (2018).",
    """\
Trains a model of moving digits by the ELBO, with a filtering proposal and with
proposals that are refined. Prints free energies in nats per frame, lower is
better, and all three bounds; writes an animation of what each makes up, into
the `samples` of its run. Goes on where it was stopped. The published rows are
of KTH Actions, and of larger networks.

  python -m recipes.experiments.refined_video rows=baseline
  python -m recipes.experiments.refined_video rows=refined-1
  python -m recipes.experiments.refined_video side=64 num_frames=20""",
    VideoSettings(),
    run,
)

if __name__ == "__main__":
    sys.exit(PROGRAM.main())
