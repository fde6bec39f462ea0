"""`benchmark`: the speed of the training step."""

import os

from recipes.benchmark.config import BACKENDS, BenchmarkSettings
from recipes.errors import RecipeError, told_to_the_user
from recipes.settings.options import parse, parser_of

SUMMARY = "Measure the training step, alone and within fit."
_DESCRIPTION = """\
Measures the compiled training step by itself, after compilation, on random
piano rolls of full length: updates per second, and milliseconds per padded time
step. `fit` is what keras.Model.fit adds to it. With `against`, another command
runs in turn with it, and `times` says how many of its times ours takes: where
a machine is shared, only that holds.

  python -m recipes benchmark backends=jax,tensorflow,torch threads=1
  python -m recipes benchmark backends=jax bounds=fivo num_particles=4 \\
      threads=1 against="python reference.py --bound {bound} \\
      --num-particles {num_particles}\""""
_HEADER = (
    f"{'backend':<10} {'jit':<3} {'bound':<5} {'N':>3} {'updates/s':>10} "
    f"{'ms/step':>8} {'fit':>6} {'times':>6} {'compiled in':>11}"
)


def parser():
    """The argument parser."""
    return parser_of(
        BenchmarkSettings, "python -m recipes benchmark", _DESCRIPTION
    )


def main(argv):
    """Runs the verb."""
    given = parse(BenchmarkSettings, argv, parser())
    run_benchmark(BenchmarkSettings.from_given(given))


def run_benchmark(settings):
    """Measures as the settings say; prints a table.

    Args:
        settings: `BenchmarkSettings`.

    Returns:
        A list of dicts, one for each workload.
    """
    from recipes.benchmark.runner import measure, workloads
    from recipes.training.run_folder import write_json

    backends = settings.backends or (_own_backend(),)
    _check("backends", backends, BACKENDS)
    _check("bounds", settings.bounds, ("elbo", "iwae", "fivo"))
    print(
        f"{settings.model}, {settings.units} units, {settings.features} "
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


def _own_backend():
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"]
    import keras

    return keras.backend.backend()


def _check(name, values, known):
    for value in values:
        if value not in known:
            raise RecipeError(
                f"`{name}` may name {', '.join(known)}. "
                f"Received: {name} with {value!r}."
            )


def _row(found):
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


def _name(backend, workload):
    return (
        f"{backend:<10} {'yes' if workload['jit_compile'] else 'no':<3} "
        f"{workload['bound']:<5} {workload['num_particles']:>3}"
    )
