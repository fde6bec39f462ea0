"""Rows of tables that a file keeps."""

import hashlib
import json
import pathlib
import time

import keras

from recipes.errors import reading, told_to_the_user
from recipes.storage import atomic_path


class Rows:
    """Rows of a table, which a file keeps: what it holds is not done again.

    Args:
        settings: `ScoreSettings`.
        rule: The rule that they name.
    """

    def __init__(self, settings, rule):
        self.path = settings.output and pathlib.Path(settings.output)
        self.rows = []
        if self.path and self.path.is_file():
            with reading(self.path, "a line of JSON for each row"):
                lines = self.path.read_text().splitlines()
                self.rows = [json.loads(line) for line in lines]
        values = [keras.ops.convert_to_numpy(x) for x in rule.weights]
        content = b"".join(value.tobytes() for value in values)
        self.common = {
            "seeds": settings.seeds,
            "trials": settings.trials,
            "weights": hashlib.sha256(content).hexdigest()[:16],
        }

    def get(self, names, measure):
        """Returns a row, measured unless it is there.

        Args:
            names: dict of what tells the row from others, as JSON knows it.
            measure: Function of no arguments that returns the others of the
                row's entries.
        """
        # What is read back has lists in the place of tuples.
        names = json.loads(json.dumps(names | self.common))
        for row in self.rows:
            if all(row.get(key) == value for key, value in names.items()):
                return row
        begin = time.process_time()
        row = {**names, **measure()}
        row["cpu_seconds"] = round(time.process_time() - begin, 1)
        self.rows.append(row)
        if self.path:
            with told_to_the_user(), atomic_path(self.path) as beside:
                lines = [json.dumps(row) + "\n" for row in self.rows]
                beside.write_text("".join(lines))
        return row
