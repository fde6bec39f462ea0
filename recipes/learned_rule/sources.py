"""What is scored: rules, and images with and without labels."""

import pathlib
import sys

import keras
import numpy as np

import keras_fivo as kf
from recipes.errors import RecipeError, reading
from recipes.learned_rule import tasks
from recipes.learned_rule.meta_train import RULE, load_glyphs

LETTERS = "runs/rule/glyphs.npz"


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
    expected = "an .npz file with x_train, x_test and y_test"
    if path is None:
        raise RecipeError(f"It is read from {expected}: `mnist=FILE`.")
    with reading(path, expected), np.load(path) as file:
        unlabelled, images = (
            file[k][:4000, ::2, ::2].astype("float32") / 255
            for k in ("x_train", "x_test")
        )
        return unlabelled, images, file["y_test"][:4000]


HELD_OUT = {"digits": (8, digits), "MNIST": (14, mnist)}


def mean_rule(files):
    """Returns the rule with the mean of the weights in files `rule_*.npz`."""
    rule = kf.LocalUpdateRule(**RULE)
    found = [np.load(file) for file in files]
    rule.set_weights([sum(f[k] for f in found) / len(found) for k in found[0]])
    return rule


def load_rule(settings):
    """Returns the rule that settings name.

    Args:
        settings: `RuleSettings`.
    """
    run = pathlib.Path(settings.run).expanduser()
    source = run / "meta.keras" if (run / "meta.keras").is_file() else run
    if settings.average:
        files = [f"rule_{number:06d}.npz" for number in settings.average]
        return mean_rule(run / file for file in files)
    if source.is_file():
        return keras.saving.load_model(source).rule
    return kf.LearnedRuleModel.from_preset(settings.run).rule


def load_letters(settings):
    """Returns the letters for choices that settings name.

    Args:
        settings: `RuleSettings`.
    """
    path = pathlib.Path(settings.run).expanduser() / "glyphs.npz"
    if settings.letters or not path.is_file():
        path = pathlib.Path(settings.letters or LETTERS).expanduser()
    return load_glyphs(path)


def image_sets(settings, names=None):
    """Returns sets of images: the name, those for choices, those held out.

    Args:
        settings: `ScoreSettings`.
        names: Names of sets: those of `HELD_OUT`, and letters. One that is not
            at hand is left out, and that is told. Default: the former.
    """
    data, found = load_letters(settings), []
    for name in HELD_OUT if names is None else names:
        side, load = HELD_OUT.get(name, (8, None))
        choice = choice_set(data, side)
        try:
            held_out = load(settings.mnist) if load else choice
        except RecipeError as error:
            print(f"{name}: skipped. {error}", file=sys.stderr)
            continue
        found.append((name, choice, held_out))
    return found
