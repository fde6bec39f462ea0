"""The table: accuracy with a few labels, on digits that no choice has seen.

python -m recipes evaluate learned-rule-slim mnist=mnist.npz
python -m recipes.learned_rule.evaluate --mnist mnist.npz

Each method's ridge penalty is chosen on letters and fonts that meta-training
has not seen; then all methods meet the same trials of the digits.
"""

import argparse
import json
import pathlib
import sys

import keras
import numpy as np

import keras_fivo as kf
from recipes.errors import RecipeError, told_to_the_user
from recipes.learned_rule import tasks
from recipes.learned_rule.meta_train import RULE, load_glyphs
from recipes.learned_rule.methods import DETERMINISTIC, METHODS

PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
# Classes and labelled examples of each.
CELLS = tuple((ways, shots) for ways in (5, 10) for shots in (1, 5, 10))


def choice_set(data, side):
    """Returns letters for choices: unlabelled images, others, classes."""
    _, rows = tasks.split(data)
    images = (data[f"images_{side}"][rows] / 255.0).astype("float32")
    return images, images, data["letter"][rows]


def digits(_=None):
    """Returns scikit-learn's digits: unlabelled, others, and their classes."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise RecipeError(
            "The digits are those of scikit-learn, which is not installed. "
            "Install it with `pip install scikit-learn`."
        ) from error
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype("float32").reshape(-1, 8, 8)
    return images[:1000], images[1000:], labels[1000:]


def mnist(path):
    """Reads MNIST at 14 x 14: unlabelled, others, and their classes."""
    if path is None or not pathlib.Path(path).is_file():
        raise RecipeError(
            "MNIST is read from an .npz file with x_train, x_test and "
            f"y_test. Received: path={str(path)!r}, which is no file"
        )
    with np.load(path) as file:
        unlabelled, images = (
            file[k][:4000, ::2, ::2].astype("float32") / 255
            for k in ("x_train", "x_test")
        )
        return unlabelled, images, file["y_test"][:4000]


HELD_OUT = {"digits": (8, digits), "MNIST": (14, mnist)}
CHOICES = "letters"


def accuracies(features, labels, ways, shots, trials, penalty, seed=1):
    """Scores a ridge probe in each trial; all are fitted at once."""
    drawn = kf.few_shot_trials(labels, ways, shots, trials, seed)
    support, query = map(np.stack, zip(*drawn, strict=True))
    targets = np.repeat(np.eye(ways, dtype="float32"), shots, axis=0)
    fitted = kf.RidgeProbe(penalty).fit(
        features[support.reshape(trials, -1)],
        np.broadcast_to(targets, (trials, *targets.shape)),
    )
    predicted = fitted(features[query.reshape(trials, -1)])
    found = keras.ops.convert_to_numpy(predicted).argmax(-1)
    right = found == np.repeat(np.arange(ways), query.shape[-1])
    return right.mean(-1)


def best_penalty(features, labels, ways, shots, trials=100):
    """Returns the ridge penalty that does best, and its mean accuracy."""
    scores = [
        accuracies(features, labels, ways, shots, trials, p).mean()
        for p in PENALTIES
    ]
    return PENALTIES[int(np.argmax(scores))], float(max(scores))


def rows(choice, held_out, settings, seeds, names=tuple(METHODS), trials=200):
    """Yields the table's entries: method, ways, shots, penalty and accuracy.

    Args:
        choice: As from `choice_set`.
        held_out: Unlabelled images, others and classes.
        settings: dict with `rule`, `units` and `updates`.
        seeds: Seeds of base models; accuracy is the mean over them.
        names: Methods.
        trials: Number of trials of each entry.
    """
    for name in names:
        method = METHODS[name]
        own = seeds[:1] if name in DETERMINISTIC else seeds
        chosen = method(*choice[:2], seed=own[0], **settings)
        found = [method(*held_out[:2], seed=s, **settings) for s in own]
        for ways, shots in CELLS:
            penalty, _ = best_penalty(chosen, choice[2], ways, shots)
            values = np.mean(
                [
                    accuracies(f, held_out[2], ways, shots, trials, penalty)
                    for f in found
                ],
                axis=0,
            )
            error = values.std(ddof=1) / np.sqrt(trials)
            yield {
                "method": name,
                "ways": ways,
                "shots": shots,
                "penalty": penalty,
                "accuracy": round(float(values.mean()), 4),
                "interval": round(1.96 * float(error), 4),
            }


def table(entries):
    """Entries as a table in Markdown, a row for each method."""
    heads = [f"{ways}-way {shots}" for ways, shots in CELLS]
    lines = [f"| | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for name in dict.fromkeys(e["method"] for e in entries):
        cells = [
            f"{e['accuracy']:.3f} ± {e['interval']:.3f}"
            for e in entries
            if e["method"] == name
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def load_rule(*sources):
    """Returns the rule of a preset, or of files of a meta-training.

    Args:
        *sources: A preset, a `.keras` file, or one or more `rule_*.npz`: the
            rule then has the mean of their weights.
    """
    if str(sources[0]).endswith(".npz"):
        rule = kf.LocalUpdateRule(**RULE)
        files = [np.load(source) for source in sources]
        rule.set_weights(
            [sum(f[k] for f in files) / len(files) for k in files[0]]
        )
        return rule
    if len(sources) > 1:
        raise RecipeError(
            f"Only .npz files have a mean. Received: rule={sources}"
        )
    if str(sources[0]).endswith(".keras"):
        return keras.saving.load_model(sources[0]).rule
    return kf.LearnedRuleModel.from_preset(sources[0]).rule


def score(
    rule,
    names,
    letters="runs/rule/glyphs.npz",
    mnist=None,
    units=(256,),
    updates=5,
    seeds=1,
    trials=200,
    methods=None,
    output=None,
):
    """Prints the table of each set of images.

    Args:
        rule: A `LocalUpdateRule`.
        names: Names of sets: those of `HELD_OUT`, and `CHOICES`.
        letters: Path of a file of letters, rendered where there is none.
        mnist: Path of a file of MNIST; None: it is skipped.
        units: Sizes of the layers of base models.
        updates: Number of updates by the rule.
        seeds: Number of base models, whose accuracies are averaged.
        trials: Number of trials of each entry.
        methods: Names of methods; None: all.
        output: Path of a file that gets a line of JSON for each entry.
    """
    settings = {"rule": rule, "units": tuple(units), "updates": updates}
    methods = tuple(METHODS) if methods is None else methods
    data = load_glyphs(letters)
    for name in names:
        side, load = HELD_OUT.get(name, (8, None))
        choice = choice_set(data, side)
        try:
            held_out = load(mnist) if load else choice
        except RecipeError as error:
            print(f"{name}: skipped. {error}", file=sys.stderr)
            continue
        entries = []
        for entry in rows(
            choice, held_out, settings, range(seeds), methods, trials
        ):
            entries.append({"data": name, **entry})
            if output:
                with open(output, "a") as out:
                    out.write(json.dumps(entries[-1]) + "\n")
        print(f"{name}\n\n{table(entries)}\n", flush=True)


def run_evaluate(settings):
    """Prints the table of a rule, as the settings say.

    Args:
        settings: `EvaluateSettings`.
    """
    run = pathlib.Path(settings.run).expanduser()
    letters = pathlib.Path(settings.letters or run / "glyphs.npz")
    if not settings.letters and not letters.is_file():
        letters = pathlib.Path("runs/rule/glyphs.npz")
    source = run / "meta.keras" if (run / "meta.keras").is_file() else run
    with told_to_the_user():
        rule = load_rule(source if source.is_file() else settings.run)
        load_glyphs(letters)
    score(
        rule,
        settings.held_out,
        letters,
        settings.mnist,
        settings.units,
        settings.updates,
        settings.seeds,
        settings.trials,
        output=settings.output,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--rule",
        nargs="+",
        default=["learned-rule-slim"],
        help="preset, .keras file, or .npz files whose mean is taken",
    )
    parser.add_argument(
        "--letters",
        default="runs/rule/glyphs.npz",
        help="file of letters for choices, made where there is none",
    )
    parser.add_argument("--mnist", help="file of MNIST, an .npz")
    parser.add_argument(
        "--data",
        nargs="+",
        choices=[*HELD_OUT, CHOICES],
        default=list(HELD_OUT),
        help="images that are scored; letters are those held out for choices",
    )
    parser.add_argument(
        "--units",
        type=int,
        nargs="+",
        default=[256],
        help="sizes of the layers of base models",
    )
    parser.add_argument(
        "--updates", type=int, default=5, help="number of updates by the rule"
    )
    parser.add_argument(
        "--seeds",
        type=int,
        default=1,
        help="number of base models, whose accuracies are averaged",
    )
    parser.add_argument(
        "--trials", type=int, default=200, help="number of trials of each entry"
    )
    parser.add_argument(
        "--methods",
        nargs="+",
        default=list(METHODS),
        choices=list(METHODS),
        metavar="METHOD",
        help=f"methods to compare: {'; '.join(METHODS)}",
    )
    parser.add_argument("--out", help="file that gets a line of JSON for each")
    given = vars(parser.parse_args())
    rule, output = load_rule(*given.pop("rule")), given.pop("out")
    score(rule, given.pop("data"), output=output, **given)


if __name__ == "__main__":
    main()
