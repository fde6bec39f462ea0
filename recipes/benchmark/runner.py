"""Runs workloads, and other commands in turn with them."""

import json
import os
import re
import shlex
import statistics
import subprocess
import sys
import tempfile

from recipes.benchmark.worker import MARK
from recipes.errors import RecipeError

_WORK = ("model", "units", "features", "steps", "batch", "proposal")
_WORK += ("published", "num_iterations", "online")
_RATE = re.compile(r"([\d.]+) updates/s")


class Worker:
    """A process that measures one workload on one backend.

    Args:
        backend: Name of the backend of Keras.
        workload: Dict, as `recipes.benchmark.workload.Workload`.
        settings: `BenchmarkSettings`.
    """

    def __init__(self, backend, workload, settings):
        self._errors = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "recipes.benchmark.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment(settings.threads) | {"KERAS_BACKEND": backend},
        )
        request = {
            "workload": workload,
            "threads": settings.threads,
            "cores": cores(settings.threads),
            "seconds": settings.seconds,
        }
        self._send(json.dumps(request))
        self.compile_seconds = self._receive()["compile_seconds"]

    def ask(self, command):
        """Returns the answer to `step` or `fit`, as a dict."""
        self._send(command)
        return self._receive()

    def close(self):
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def _send(self, line):
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # told by `_receive`

    def _receive(self):
        for line in self._process.stdout:
            if line.startswith(MARK):
                return json.loads(line.removeprefix(MARK))
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines() or ["no message"]
        raise RecipeError(f"The measurement failed: {lines[-1]}")


def environment(threads):
    """Returns the environment of a program that is to use so many threads."""
    found = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    if threads:
        for name in (
            "OMP_NUM_THREADS",
            "MKL_NUM_THREADS",
            "TF_NUM_INTRAOP_THREADS",
            "TF_NUM_INTEROP_THREADS",
        ):
            found[name] = str(threads)
    if threads == 1:
        found["XLA_FLAGS"] = (
            os.environ.get("XLA_FLAGS", "")
            + " --xla_cpu_multi_thread_eigen=false"
            " intra_op_parallelism_threads=1"
        ).strip()
    return found


def cores(threads):
    """Returns the cores of a program of so many threads, or `None`."""
    if not threads or not hasattr(os, "sched_getaffinity"):
        return None
    return sorted(os.sched_getaffinity(0))[-threads:]


def run_against(command, work, settings):
    """Runs the other command; returns its updates per second.

    Args:
        command: str. With `{bound}` and so on.
        work: Dict of what they stand for.
        settings: `BenchmarkSettings`.
    """
    try:
        arguments = shlex.split(command.format(**work))
    except (KeyError, IndexError, ValueError) as error:
        raise RecipeError(
            "`against` may hold {bound}, {num_particles}, {steps} and "
            f"{{batch}}. Received: against={command!r} ({error})."
        ) from error
    chosen = cores(settings.threads)
    try:
        finished = subprocess.run(
            arguments,
            capture_output=True,
            text=True,
            env=environment(settings.threads),
            preexec_fn=(lambda: os.sched_setaffinity(0, chosen))
            if chosen
            else None,
        )
    except OSError as error:
        raise RecipeError(f"`against` cannot be run: {error}.") from error
    found = _RATE.search(finished.stdout)
    if finished.returncode or not found:
        lines = (finished.stderr or finished.stdout).strip().splitlines()
        raise RecipeError(
            "`against` must print `... X updates/s, ...`. It ended with "
            f"{finished.returncode} and: {(lines or ['nothing'])[-1]}"
        )
    return float(found.group(1))


def measure(backend, workload, settings):
    """Measures one workload, in turn with the other command.

    Returns:
        A dict of the workload, the backend and the medians of the rounds.
    """
    worker = Worker(backend, workload, settings)
    rates, others = [], []
    try:
        for _ in range(settings.rounds):
            rates.append(worker.ask("step")["rate"])
            if settings.against:
                work = {
                    name: workload[name]
                    for name in ("bound", "num_particles", "steps", "batch")
                }
                others.append(run_against(settings.against, work, settings))
                rates.append(worker.ask("step")["rate"])
        fit = _fit(worker) if settings.fit else {}
    finally:
        worker.close()
    rate = statistics.median(rates)
    found = {
        "backend": backend,
        **workload,
        "compile_seconds": worker.compile_seconds,
        "updates_per_second": rate,
        "ms_per_time_step": 1e3 / rate / workload["steps"],
        "rates": rates,
    }
    found |= fit
    if others:
        # Each run of the other stands between two rounds of ours.
        times = [
            other / statistics.mean(rates[2 * i : 2 * i + 2])
            for i, other in enumerate(others)
        ]
        found["against_updates_per_second"] = statistics.median(others)
        found["times_of_against"] = statistics.median(times)
    return found


def _fit(worker):
    try:
        rates = worker.ask("fit")
    except RecipeError as error:  # the step alone may work where fit does not
        return {"fit_error": str(error)}
    return {"fit_overhead": rates["alone_rate"] / rates["fit_rate"] - 1}


def workloads(settings, backend):
    """Returns the workloads of a backend, as dicts."""
    compiled = {"true": (True,), "false": (False,), "both": (False, True)}
    modes = (True,) if backend == "jax" else compiled[settings.jit_compile]
    shared = {name: value for name, value in settings if name in _WORK}
    found = []
    for jit_compile in modes:
        for bound in settings.bounds:
            counts = (1,) if bound == "elbo" else settings.num_particles
            found += [
                {
                    **shared,
                    "bound": bound,
                    "num_particles": count,
                    "jit_compile": jit_compile,
                }
                for count in counts
            ]
    return found
