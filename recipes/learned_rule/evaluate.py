"""The table: accuracy with a few labels, on digits that no choice has seen.

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
from recipes.errors import RecipeError
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--rule",
        nargs="+",
        default=["learned-rule-slim"],
        help="preset, .keras file, or .npz files whose mean is taken",
    )
    parser.add_argument("--letters", default="runs/rule/glyphs.npz")
    parser.add_argument("--mnist", help="an .npz file")
    parser.add_argument(
        "--data",
        nargs="+",
        choices=[*HELD_OUT, CHOICES],
        default=list(HELD_OUT),
        help="what is scored; letters are those held out for choices",
    )
    parser.add_argument("--units", type=int, nargs="+", default=[256])
    parser.add_argument("--updates", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--out", help="a file that gets a line of JSON each")
    given = parser.parse_args()
    settings = {"rule": load_rule(*given.rule), "units": tuple(given.units)}
    settings["updates"] = given.updates
    data = load_glyphs(given.letters)
    for name in given.data:
        side, load = HELD_OUT.get(name, (8, None))
        choice = choice_set(data, side)
        try:
            held_out = load(given.mnist) if load else choice
        except RecipeError as error:
            print(f"{name}: skipped. {error}", file=sys.stderr)
            continue
        entries = []
        for entry in rows(
            choice,
            held_out,
            settings,
            range(given.seeds),
            given.methods,
            given.trials,
        ):
            entries.append({"data": name, **entry})
            if given.out:
                with open(given.out, "a") as out:
                    out.write(json.dumps(entries[-1]) + "\n")
        print(f"{name}\n\n{table(entries)}\n", flush=True)


if __name__ == "__main__":
    main()
