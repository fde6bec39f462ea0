"""Which recipe a command line is about."""

import inspect
import pathlib
import subprocess
import sys

import pytest

from recipes.cli.verbs import VERBS
from recipes.errors import RecipeError
from recipes.recipe import Recipe
from recipes.registry import RECIPES, recipe_of, recipe_of_run
from recipes.settings.program import read_arguments
from recipes.training.run_folder import RunFolder

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_recipe_has_what_the_verbs_need(recipe):
    folder = REPOSITORY / "recipes" / recipe.name
    assert (folder / "README.md").is_file()
    assert len(recipe.data_sets) >= 1
    for known in recipe.data_sets:
        data = known.settings.data
        assert recipe_of(data) is recipe and known.about
        assert recipe.fit_settings(data) == known.settings
        assert known.settings.folder.startswith(f"runs/{data}-")
        tune = recipe.tune_settings(data)
        assert getattr(tune, "search", ()) == recipe.searched
        assert tune.folder == f"runs/{data}-tune"
        if recipe.has_bounds:
            assert tune.updates == 5_000 and tune.evaluation_bound == "fivo"
        # What a search may try is what the settings may be.
        for name, values in (recipe.choices | recipe.ranges).items():
            for value in values:
                assert getattr(tune.changed(**{name: value}), name) == value
    assert recipe.sample_settings.run == ""
    for name in ("load", "sample"):
        assert name in vars(type(recipe))
    for name, method in inspect.getmembers(Recipe, inspect.isfunction):
        ours = inspect.signature(getattr(type(recipe), name))
        assert list(ours.parameters) == list(
            inspect.signature(method).parameters
        )


def test_data_sets_have_different_names():
    names = [
        known.settings.data for recipe in RECIPES for known in recipe.data_sets
    ]
    assert len(names) == len(set(names)) >= 12


def test_asking_for_help_imports_no_keras():
    script = """
import sys
from recipes.cli import main
for argv in (["list"], ["fit", "digits", "--help"], ["sample", "--help"]):
    assert main(argv) == 0
print({"keras", "matplotlib", "h5py"} & set(sys.modules))
"""
    found = subprocess.run(
        [sys.executable, "-c", script],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.splitlines()[-1] == "set()"


def test_only_the_program_imports_the_command_line():
    recipes = REPOSITORY / "recipes"
    files = [*recipes.rglob("*.py")]
    assert len(files) >= 80
    importing = {
        file.relative_to(recipes).parts[0]
        for file in files
        if "recipes.cli" in file.read_text("utf-8")
    }
    assert importing == {"cli", "__main__.py"}


def test_an_unknown_data_set_is_told_its_nearest():
    with pytest.raises(RecipeError, match=r"Received: data='jbs'.*'jsb'"):
        recipe_of("jbs")
    with pytest.raises(RecipeError, match="Received: data='figures'"):
        recipe_of("jsb").fit_settings("figures")


@pytest.mark.parametrize(
    "argv, data",
    [
        ([], "bach"),
        (["bach"], "bach"),
        (["figures", "updates=3"], "figures"),
        (["--updates", "3", "figures"], "figures"),
        (["updates=3", "--data", "figures"], "figures"),
        (["--data=figures"], "figures"),
        (["data=jsb", "figures"], "jsb"),
    ],
)
def test_fit_is_about_the_data_that_it_names(argv, data):
    given = read_arguments(argv, "data")
    assert VERBS["fit"].defaults(given).data == data
    assert VERBS["tune"].defaults(given).data == data


@pytest.mark.parametrize("verb", ["fit", "tune", "forecast", "backtest"])
def test_a_file_stands_for_the_table_in_it(verb):
    given = read_arguments(["shops/sales.csv", "seed=3"], "data")
    settings = VERBS[verb].defaults(given).changed(**given)
    assert (settings.data, settings.data_path) == ("table", "shops/sales.csv")
    assert settings.folder.startswith("runs/sales-")


def test_other_verbs_are_about_the_data_of_the_run(tmp_path):
    record = {"identity": {}, "settings": {"data": "figures"}}
    record |= {"status": "running", "started": "today"}
    RunFolder(tmp_path / "run").write_record(record)
    run = str(tmp_path / "run")

    def name_of(*argv):
        return recipe_of_run(read_arguments(argv, "run")).name

    for argv in ([run], [f"run={run}"], ["--run", run, "seed=1"]):
        assert name_of(*argv) == "pose"
    assert name_of(f"{run}/best.keras") == "pose"
    assert name_of(run, "data=jsb") == "pianoroll"
    assert name_of(str(tmp_path / "none")) == name_of() == "pianoroll"
