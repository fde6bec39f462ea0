"""Which recipe a data set belongs to: a row for each recipe."""

import pathlib
from collections.abc import Mapping

from recipes.errors import RecipeError
from recipes.ghmm.recipe import GaussianChain
from recipes.learned_rule.recipe import LearnedRule
from recipes.pianoroll.recipe import PianoRoll
from recipes.pose.recipe import Pose
from recipes.recipe import Recipe
from recipes.settings.base import nearest
from recipes.speech.recipe import Speech
from recipes.table.recipe import Table
from recipes.video.recipe import Video

RECIPES: tuple[Recipe, ...] = (
    PianoRoll(),
    Pose(),
    Speech(),
    GaussianChain(),
    Table(),
    Video(),
    LearnedRule(),
)


def recipe_of(data: str | None) -> Recipe:
    """Returns the recipe that knows a data set; the first one for none.

    Args:
        data: Name of a data set.
    """
    known = {
        data_set.settings.data: recipe
        for recipe in RECIPES
        for data_set in recipe.data_sets
    }
    if not data:
        return RECIPES[0]
    if data not in known:
        raise RecipeError(
            f"The known data sets are {', '.join(known)}. "
            f"Received: data={data!r}.{nearest(data, known)}"
        )
    return known[data]


def recipe_of_run(given: Mapping[str, str]) -> Recipe:
    """Returns the recipe of a run, by its data or by its record.

    Args:
        given: Texts of a command line: `data`, and `run`, a folder, a
            `.keras` file or a preset.
    """
    from recipes.presets.finding import class_of_preset, find_preset
    from recipes.training.run_folder import RunFolder

    data = given.get("data")
    if data is None and given.get("run"):
        path = pathlib.Path(given["run"]).expanduser()
        folder = path.parent if path.suffix == ".keras" else path
        if not folder.exists():
            folder = find_preset(given["run"]) or folder
        record = RunFolder(folder).read_record()
        data = record and record["settings"].get("data")
        for recipe in RECIPES:
            if (
                record is None
                and class_of_preset(folder) == recipe.preset_class
            ):
                return recipe
    return recipe_of(data)
