"""`benchmark`: the speed of the training step."""

import os
from typing import Annotated, Any, ClassVar, Literal

from recipes.benchmark.published import WORK
from recipes.errors import RecipeError, told_to_the_user
from recipes.settings.base import (
    FilePath,
    Metavar,
    Positive,
    PositiveFloat,
    Settings,
)
from recipes.settings.common import BOUNDS, Bound, Cell
from recipes.settings.iterative import Proposal
from recipes.settings.program import Program

_DESCRIPTION = """\
Measures the compiled training step by itself, after compilation, on random
piano rolls of full length: updates per second, and milliseconds per padded time
step. `fit` is what keras.Model.fit adds to it. With `against`, another command
runs in turn with it, and `times` says how many of its times ours takes: where
a machine is shared, only that holds.

  python -m recipes benchmark backends=jax,tensorflow,torch threads=1
  python -m recipes benchmark backends=jax bounds=fivo num_particles=4 \\
      threads=1 against="python reference.py --bound {bound} \\
      --num-particles {num_particles}\"
  python -m recipes benchmark published=srnn_rolls proposal=iterative \\
      backends=jax,tensorflow,torch threads=1 online=true"""
_HEADER = (
    f"{'backend':<10} {'jit':<3} {'bound':<5} {'N':>3} {'updates/s':>10} "
    f"{'ms/step':>8} {'fit':>6} {'times':>6} {'compiled in':>11}"
)


class WorkSettings(Settings):
    """What is computed."""

    heading: ClassVar[str] = "Work"
    backends: tuple[Literal["jax", "tensorflow", "torch"], ...] | None = None
    """Names of the backends, as in jax,torch. If they are not set, the one of
    KERAS_BACKEND."""
    jit_compile: Literal["true", "false", "both"] = "both"
    """Whether the training step is compiled; on JAX it always is."""
    model: Cell = "vrnn"
    """Cell of the model."""
    bounds: tuple[Bound, ...] = BOUNDS
    """Names of the bounds, as in elbo,fivo."""
    num_particles: tuple[Positive, ...] = (4, 16)
    """Numbers of particles, as in 4,16; ELBO always has one."""
    units: Positive = 64
    """Size of all layers and of the latent."""
    features: Positive = 88
    """Number of features of an observation."""
    steps: Positive = 84
    """Number of time steps of each sequence."""
    batch: Positive = 4
    """Number of sequences in the batch."""
    proposal: Proposal = "filtering"
    """Proposal of the cell."""
    published: Literal["srnn_rolls", "srnn_speech", "vrnn_speech"] | None = None
    """Cell of Marino et al. (2018), trained by its ELBO on as many sequences
    and steps as there: it stands for `model`, `bounds` and all sizes."""
    num_iterations: Positive = 1
    """Number of refinements of such a cell with proposal=iterative."""
    online: bool = False
    """Whether its refinements learn after each time step."""


class BenchmarkSettings(WorkSettings):
    """What `benchmark` can be told."""

    heading: ClassVar[str] = "Measurement"
    against: Annotated[str, Metavar("COMMAND")] | None = None
    """Command to run in turn, which prints `... X updates/s, ...`; {bound},
    {num_particles}, {steps} and {batch} stand for those of the work."""
    rounds: Positive = 3
    """Number of rounds, of which medians are reported."""
    seconds: PositiveFloat = 1.0
    """Number of seconds that a round takes, about."""
    threads: Positive | None = None
    """Number of threads of each program, on as many cores. If it is not set,
    each takes as many as it likes."""
    fit: bool = True
    """Whether to measure what `fit` adds, too."""
    output: FilePath | None = None
    """JSON file to write."""


def run_benchmark(settings: BenchmarkSettings) -> list[dict[str, Any]]:
    """Measures as the settings say; prints a table.

    Returns:
        A dict for each workload.
    """
    from recipes.benchmark.runner import measure, workloads
    from recipes.training.run_folder import write_json

    backends = settings.backends or (_own_backend(),)
    if settings.published:
        work = WORK[settings.published]
        settings = settings.changed(bounds=("elbo",), **work)
    print(
        f"{settings.published or _cell_of(settings)}, {settings.features} "
        f"features, batch {settings.batch}, {settings.steps} steps, "
        f"{settings.threads or 'all'} threads, medians of {settings.rounds} "
        "rounds\n"
    )
    print(_HEADER)
    found, failed = [], []
    for backend in backends:
        for workload in workloads(settings, backend):
            try:
                measured = measure(backend, workload, settings)
            except RecipeError as error:
                failed.append(str(error))
                print(f"{_name(backend, workload)} {error}", flush=True)
                continue
            found.append(measured)
            print(_row(measured), flush=True)
    if settings.output:
        with told_to_the_user():
            write_json(settings.output, found)
    if failed:
        raise RecipeError(f"{len(failed)} measurements failed; see above.")
    return found


def _cell_of(settings: BenchmarkSettings) -> str:
    return f"{settings.model}, {settings.units} units"


def _own_backend() -> str:
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"]
    import keras

    return keras.backend.backend()


def _row(found: dict[str, Any]) -> str:
    fit = "failed" if "fit_error" in found else ""
    if "fit_overhead" in found:
        fit = f"{found['fit_overhead']:+.0%}"
    times = found.get("times_of_against")
    return (
        f"{_name(found['backend'], found)} "
        f"{found['updates_per_second']:>10.2f} "
        f"{found['ms_per_time_step']:>8.4f} "
        f"{fit:>6} "
        f"{'' if times is None else f'{times:.2f}':>6} "
        f"{found['compile_seconds']:>9.1f} s"
    )


def _name(backend: str, workload: dict[str, Any]) -> str:
    return (
        f"{backend:<10} {'yes' if workload['jit_compile'] else 'no':<3} "
        f"{workload['bound']:<5} {workload['num_particles']:>3}"
    )


BENCHMARK = Program(
    "python -m recipes benchmark",
    "Measures the training step, alone and within fit.",
    _DESCRIPTION,
    BenchmarkSettings(),
    run_benchmark,
)
