"""Time and memory of tables: `python -m recipes.experiments.panel_scale`."""

import concurrent.futures
import csv
import itertools
import math
import multiprocessing
import pathlib
import random
import sys
import tempfile
import time
from typing import Annotated, ClassVar

from pydantic import Field

from recipes.errors import told_to_the_user
from recipes.settings.base import FilePath, Natural, Positive, Settings
from recipes.settings.program import Program
from recipes.storage import write_json
from recipes.table.config import ForecastSettings

_FIRST_YEAR = 2015
_HEADS = ("series", "read", "fit", "forecast", "by the clock", "peak MiB")


class ScaleSettings(Settings):
    """What the measurement can be told."""

    heading: ClassVar[str] = "Measurement"
    series: tuple[Positive, ...] = (1, 100, 1_000)
    """Numbers of series of the tables."""
    num_steps: Annotated[int, Field(ge=24)] = 120
    """Number of months of a series."""
    horizon: Positive = 12
    """Number of months to forecast."""
    seed: Natural = 0
    """Seed of the series."""
    output: FilePath = "runs/panel-scale.json"
    """JSON file to write."""


def run(settings: ScaleSettings) -> None:
    """Measures each table in a process of its own; prints them side by side."""
    # A process that forks would begin with the memory of this one.
    context = multiprocessing.get_context("spawn")
    found = []
    for count in settings.series:
        with concurrent.futures.ProcessPoolExecutor(1, context) as process:
            found.append(process.submit(measure, count, settings).result())
        print(table(found).splitlines()[-1], flush=True)
    print("\n" + table(found))
    content = {"settings": settings.as_dict(), "tables": found}
    with told_to_the_user():
        write_json(settings.output, content)
    print(f"Written to {settings.output}")


def measure(count: int, settings: ScaleSettings) -> dict[str, float]:
    """Reads, fits and forecasts a table of so many series.

    Returns:
        By the heads of the table: the number of series; processor time of the
        parts, over all cores, in seconds, imports and compilation included;
        time by the clock; the largest resident memory of this process.
    """
    import resource

    clock, seconds = time.monotonic(), [time.process_time()]
    from recipes.table.forecasting import forecast
    from recipes.table.verbs import read, run_fit

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "table.csv"
        write_table(path, count, settings)
        told = ForecastSettings(
            data="table", data_path=str(path), run=f"{folder}/run"
        )
        panel = read(told, _silent)
        seconds.append(time.process_time())
        _, model, _ = run_fit(told, panel, _silent)
        seconds.append(time.process_time())
    origins = [[len(one.values)] for one in panel.series]
    forecast(model, panel, origins, settings.horizon, told.batch_size)
    seconds.append(time.process_time())
    parts = [b - a for a, b in itertools.pairwise(seconds)]
    # Linux counts in KiB, macOS in bytes.
    unit = 2**20 if sys.platform == "darwin" else 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    values = (count, *parts, time.monotonic() - clock, peak)
    return dict(zip(_HEADS, values, strict=True))


def _silent(line: str) -> None:
    pass


def write_table(
    path: pathlib.Path, count: int, settings: ScaleSettings
) -> None:
    """Writes monthly series of trend, season and noise, in long form.

    A series is the same in tables of all sizes.
    """
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["month", "series", "value"])
        for number in range(count):
            generator = random.Random(f"{settings.seed} {number}")
            level = generator.uniform(50, 500)
            trend = generator.uniform(-0.002, 0.005)
            season = generator.uniform(0.05, 0.3)
            phase = generator.uniform(0, 2 * math.pi)
            for step in range(settings.num_steps):
                wave = season * math.cos(2 * math.pi * step / 12 + phase)
                noise = generator.gauss(0, 0.05)
                value = level * math.exp(trend * step + wave + noise)
                month = f"{_FIRST_YEAR + step // 12}-{step % 12 + 1:02d}"
                writer.writerow([month, f"s{number:04d}", f"{value:.2f}"])


def table(found: list[dict[str, float]]) -> str:
    """Returns what was measured, as Markdown."""
    lines = [f"| {' | '.join(_HEADS)} |", "|---:" * len(_HEADS) + "|"]
    for row in found:
        count, *parts = row.values()
        cells = [f"{count:,}", *(f"{x:,.1f}" for x in parts[:-1])]
        lines.append(f"| {' | '.join(cells)} | {parts[-1]:,.0f} |")
    return "\n".join(lines) + "\n"


PROGRAM = Program(
    "python -m recipes.experiments.panel_scale",
    "Measures time and memory of tables of many series.",
    """\
Makes tables of monthly series of trend, season and noise; reads, fits and
forecasts each as `python -m recipes forecast` does, in a process of its own.
Prints seconds of the processor (imports and compilation included), seconds by
the clock, and the largest resident memory; writes a JSON file.""",
    ScaleSettings(),
    run,
)

if __name__ == "__main__":
    sys.exit(PROGRAM.main())
