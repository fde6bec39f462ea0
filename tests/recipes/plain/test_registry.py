"""Which recipe a command line is about."""

import importlib

import pytest

from recipes import registry
from recipes.errors import RecipeError
from recipes.training.run_folder import RunFolder


@pytest.mark.parametrize("recipe", registry.RECIPES)
def test_a_recipe_has_what_the_verbs_need(recipe):
    config = registry.config_of(recipe)
    assert config.NAMES == tuple(config.SOURCES) and config.SAMPLES
    for name in config.NAMES:
        assert registry.name_for(name) == recipe
        settings = config.FitSettings.from_given({"data": name})
        assert settings.folder.startswith(f"runs/{name}-")
        assert config.TuneSettings.from_given({"data": name}).search
    for verb in (config.EvaluateSettings, config.SampleSettings):
        assert verb().run == "" and verb().data is None
    space = importlib.import_module(f"recipes.{recipe}.search_space")
    fields = config.TuneSettings().as_dict()
    assert set(space.CHOICES) | set(space.RANGES) <= set(fields)
    assert set(config.TuneSettings().search) <= {*space.CHOICES, *space.RANGES}
    module = registry.recipe_of(recipe)
    for name in ("load", "train_batches", "evaluation_batches", "sample"):
        assert callable(getattr(module, name))
    assert hasattr(module, "build_model") or hasattr(module, "emission")


def test_data_sets_have_different_names():
    configs = [registry.config_of(recipe) for recipe in registry.RECIPES]
    names = [name for config in configs for name in config.NAMES]
    assert len(names) == len(set(names))


def test_an_unknown_data_set_is_told_its_nearest():
    with pytest.raises(RecipeError, match=r"Received: data='jbs'.*'jsb'"):
        registry.name_for("jbs")


@pytest.mark.parametrize(
    "argv, recipe",
    [
        ([], "pianoroll"),
        (["bach"], "pianoroll"),
        (["figures", "updates=3"], "pose"),
        (["--updates", "3", "figures"], "pose"),
        (["updates=3", "--data", "figures"], "pose"),
        (["--data=figures"], "pose"),
        (["data=bach", "figures"], "pianoroll"),
        (["--help"], "pianoroll"),
        (["--help", "figures"], "pose"),
    ],
)
def test_fit_is_about_the_data_that_it_names(argv, recipe):
    assert registry.name_in_fit(argv) == recipe


def test_other_verbs_are_about_the_data_of_the_run(tmp_path):
    record = {"identity": {}, "settings": {"data": "figures"}}
    RunFolder(tmp_path / "run").write_record(record)
    run = str(tmp_path / "run")
    for argv in ([run], [f"run={run}"], ["--run", run, "seed=1"]):
        assert registry.name_in(argv) == "pose"
    assert registry.name_in([f"{run}/best.keras"]) == "pose"
    assert registry.name_in([run, "data=jsb"]) == "pianoroll"
    assert registry.name_in([str(tmp_path / "none")]) == "pianoroll"
