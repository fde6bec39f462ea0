"""`evaluate`: all three bounds of a trained model."""

from recipes.cli.trained import load_trained
from recipes.errors import told_to_the_user
from recipes.pianoroll.config import EvaluateSettings
from recipes.settings import parse, parser_of

SUMMARY = "Print the ELBO, IWAE and FIVO bounds of a trained model."
_DESCRIPTION = """\
Prints the three bounds of the best model of a run, in nats per step (sum of
bounds / sum of lengths) and per sequence, beside a baseline that predicts each
note by its frequency in the train split.

  python -m recipes evaluate runs/jsb-fivo
  python -m recipes evaluate runs/jsb-fivo split=valid num_particles=16"""


def parser():
    """The argument parser."""
    return parser_of(
        EvaluateSettings,
        "python -m recipes evaluate",
        _DESCRIPTION,
        positional="run",
    )


def main(argv):
    """Runs the verb."""
    given = parse(EvaluateSettings, argv, parser(), positional="run")
    run_evaluate(EvaluateSettings.from_given(given))


def run_evaluate(settings):
    """Evaluates as the settings say; prints a table and writes JSON.

    Args:
        settings: `EvaluateSettings`.

    Returns:
        The content of the JSON file.
    """
    trained = load_trained(settings)
    from recipes.evaluation import evaluate_bounds
    from recipes.pianoroll.data import independent_notes_baseline

    sequences = trained.rolls.split(settings.split)
    print(
        f"{trained.model_path} on the {settings.split} split of "
        f"{trained.data}: {len(sequences)} sequences, "
        f"{sum(map(len, sequences))} steps; {settings.num_particles} particles"
    )
    bounds = evaluate_bounds(
        trained.model,
        sequences,
        settings.num_particles,
        trained.resampling,
        settings.seed,
    )
    baseline = independent_notes_baseline(trained.rolls, settings.split)
    steps = sum(map(len, sequences))
    content = {
        "model": str(trained.model_path),
        "data": trained.data,
        "split": settings.split,
        "num_particles": settings.num_particles,
        "seed": settings.seed,
        "sequences": len(sequences),
        "steps": steps,
        "bounds": bounds,
        "baseline": {
            "bound_per_step": baseline,
            "bound_per_sequence": baseline * steps / len(sequences),
        },
    }
    print(table(content))
    output = settings.output or trained.folder / (
        f"evaluation-{settings.split}.json"
    )
    from recipes.run_folder import write_json

    with told_to_the_user():
        write_json(output, content)
    print(f"Written to {output}")
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
    values = content["baseline"]
    lines.append(
        f"{'independent notes':<24} {values['bound_per_step']:>10.3f} "
        f"{values['bound_per_sequence']:>14.1f}"
    )
    return "\n".join(lines) + "\n"
