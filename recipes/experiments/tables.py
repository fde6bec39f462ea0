"""What the tables of music have in common: data sets, files, text."""

import pathlib
from collections.abc import Mapping
from typing import Any, Literal

from recipes.errors import told_to_the_user
from recipes.settings.common import BOUNDS
from recipes.storage import atomic_path

Data = Literal["nottingham", "jsb", "musedata", "piano_midi"]
DATA: tuple[Data, ...] = ("nottingham", "jsb", "musedata", "piano_midi")
BOUNDS_HEAD = "test: ELBO, IWAE, FIVO"
RUN_HEADS = "validation | best after | of | CPU minutes"


def data_file(folder: str | None, data: Data) -> str | None:
    """Returns the path of a data set in a folder, if there is one."""
    return folder and f"{folder}/{data}.npz"


def bounds_cell(content: Any) -> str:
    """Returns what `evaluate` found, under `BOUNDS_HEAD`."""
    parts = "".join(
        f" ({part['sequences']} of them: {_three(part['bounds'])})"
        for part in content.get("parts", [])
    )
    return _three(content["bounds"]) + parts


def _three(rows: Any) -> str:
    return ", ".join(f"{rows[name]['bound_per_step']:.3f}" for name in BOUNDS)


def run_cells(record: Any) -> list[str]:
    """Returns what a record tells of a run, under `RUN_HEADS`."""
    updates = (f"{record[name]:,}" for name in ("best_updates", "updates"))
    minutes = record["cpu_seconds"] / 60
    return [f"{record['best']:.3f}", *updates, f"{minutes:.1f}"]


def markdown(heads: str, rows: Mapping[str, list[str] | None]) -> str:
    """Returns cells by the name of their row as a table.

    A row that is `None` was not run: its name stands below the table.
    """
    lines = [f"| {heads} |", "|---" * (heads.count("|") + 1) + "|"]
    lines += [f"| {' | '.join(row)} |" for row in rows.values() if row]
    missing = [name for name, row in rows.items() if row is None]
    if missing:
        lines += ["", f"Not run: {', '.join(missing)}."]
    return "\n".join(lines) + "\n"


def show(text: str, folder: str, name: str) -> None:
    """Writes a table into a folder, and prints it."""
    path = pathlib.Path(folder).expanduser() / name
    with told_to_the_user(), atomic_path(path) as partial:
        partial.write_text(text, "utf-8")
    print(text)
