"""`sample`: what a trained model makes up."""

from recipes.cli.trained import load_trained
from recipes.registry import config_of, name_in, recipe_of
from recipes.settings.options import parse, parser_of

SUMMARY = "Continue sequences: arrays, pictures, and what can be heard."


def parser(recipe):
    """The argument parser, for a recipe."""
    config = config_of(recipe)
    return parser_of(
        config.SampleSettings,
        "python -m recipes sample",
        config.SAMPLES,
        positional="run",
    )


def main(argv):
    """Runs the verb."""
    recipe = name_in(argv)
    settings = config_of(recipe).SampleSettings
    given = parse(settings, argv, parser(recipe), positional="run")
    run_sample(settings.from_given(given))


def run_sample(settings):
    """Samples as the settings say.

    Args:
        settings: `SampleSettings` of a recipe.

    Returns:
        The paths that were written.
    """
    trained = load_trained(settings)
    written = recipe_of(trained.recipe).sample(trained, settings)
    for path in written:
        print(f"  {path}")
    return written
