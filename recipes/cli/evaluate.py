"""`evaluate`: all three bounds of a trained model."""

from recipes.cli.trained import load_trained
from recipes.errors import told_to_the_user
from recipes.registry import config_of, name_in, recipe_of
from recipes.settings.options import parse, parser_of

SUMMARY = "Print the ELBO, IWAE and FIVO bounds of a trained model."
_DESCRIPTION = """\
Prints the three bounds of the best model of a run, in nats per step (sum of
bounds / sum of lengths) and per sequence, beside a simple baseline.

  python -m recipes evaluate runs/jsb-fivo
  python -m recipes evaluate runs/jsb-fivo split=valid num_particles=16"""


def parser(recipe):
    """The argument parser, for a recipe."""
    return parser_of(
        config_of(recipe).EvaluateSettings,
        "python -m recipes evaluate",
        _DESCRIPTION,
        positional="run",
    )


def main(argv):
    """Runs the verb."""
    recipe = name_in(argv)
    settings = config_of(recipe).EvaluateSettings
    given = parse(settings, argv, parser(recipe), positional="run")
    run_evaluate(settings.from_given(given))


def run_evaluate(settings):
    """Evaluates as the settings say; prints a table and writes JSON.

    Args:
        settings: `EvaluateSettings` of a recipe.

    Returns:
        The content of the JSON file.
    """
    trained = load_trained(settings)
    recipe = recipe_of(trained.recipe)
    content = _evaluate(trained, recipe, settings)
    print(table(content))
    if hasattr(recipe, "after_evaluation"):
        content = recipe.after_evaluation(trained, settings, content)
    output = settings.output or trained.folder / (
        f"evaluation-{settings.split}.json"
    )
    from recipes.training.run_folder import write_json

    with told_to_the_user():
        write_json(output, content)
    print(f"Written to {output}")
    return content


def _evaluate(trained, recipe, settings):
    from recipes.training.evaluation import evaluate_bounds, lengths_of

    sequences = trained.sequences.split(settings.split)
    steps = int(lengths_of(sequences).sum())
    print(
        f"{trained.model_path} on the {settings.split} split of "
        f"{trained.data}: {len(sequences)} sequences, {steps} steps; "
        f"{settings.num_particles} particles"
    )
    content = {
        "model": str(trained.model_path),
        "data": trained.data,
        "split": settings.split,
        "num_particles": settings.num_particles,
        "seed": settings.seed,
        "sequences": len(sequences),
        "steps": steps,
        "bounds": evaluate_bounds(
            trained.model,
            recipe.evaluation_batches(
                sequences, settings.num_particles, trained.model.cell.latent_dim
            ),
            settings.num_particles,
            trained.trained_with,
            settings.seed,
        ),
    }
    baseline = recipe.baseline(trained.sequences, settings.split)
    if baseline is not None:
        content["baseline"] = {
            "name": baseline[0],
            "bound_per_step": baseline[1],
            "bound_per_sequence": baseline[1] * steps / len(sequences),
        }
    return content


def table(content):
    """The bounds and the baseline as text."""
    lines = [
        "",
        f"{'nats, higher is better':<24} {'per step':>10} "
        f"{'per sequence':>14} {'ESS':>8}",
    ]
    for name, values in content["bounds"].items():
        lines.append(
            f"{name.upper():<24} {values['bound_per_step']:>10.3f} "
            f"{values['bound_per_sequence']:>14.1f}"
            # The ELBO weighs no particles against each other.
            + (f" {values['ess']:>8.1f}" if name != "elbo" else "")
        )
    if "baseline" in content:
        values = content["baseline"]
        lines.append(
            f"{values['name']:<24} {values['bound_per_step']:>10.3f} "
            f"{values['bound_per_sequence']:>14.1f}"
        )
    return "\n".join(lines) + "\n"
