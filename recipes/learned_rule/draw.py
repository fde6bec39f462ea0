"""A picture of what a rule does: accuracy by inner steps, receptive fields."""

import keras
import numpy as np

import keras_fivo as kf
from recipes.errors import told_to_the_user
from recipes.learned_rule import methods
from recipes.learned_rule.evaluate import best_penalty
from recipes.learned_rule.sources import choice_set, load_letters, load_rule
from recipes.pictures import GIVEN, MADE, picture

STEPS = (0, 2, 4, 8, 12, 16, 24, 32, 48)
LAYERS = ((512,), (64,), (64, 64))
COLOURS = (MADE, "#3b8a5a", "#7a5aa8")


def curve(rule, units, choice, seed=0):
    """Measures accuracy, 5-way with 10 labels, after each of `STEPS`."""
    x, labels = methods.flat(choice[0]), choice[2]
    model = kf.LearnedRuleModel(rule, units, seed=seed)
    values = []
    for before, step in zip((0, *STEPS), STEPS, strict=False):
        if step > before:
            batches = methods.Batches(x, step, seed, start=before)
            model.fit(batches, shuffle=False, verbose=0)
        values.append(best_penalty(model.predict(x), labels, 5, 10)[1])
    return values


def fields(rule, images, updates, num_fields=16):
    """Returns receptive fields of units before and after the rule's updates.

    Returns:
        Two pictures of 4 x 4 fields, each over its largest weight.
    """
    x, side = methods.flat(images), images.shape[1]
    model = kf.LearnedRuleModel(rule, (256,), seed=0)
    model.build((None, x.shape[1]))
    found = [keras.ops.convert_to_numpy(model.base.kernels[0]).copy()]
    model.fit(methods.Batches(x, updates, 0), shuffle=False, verbose=0)
    found.append(keras.ops.convert_to_numpy(model.base.kernels[0]))
    return [
        np.pad(
            (kernel / np.abs(kernel).max(0))
            .T[:num_fields]
            .reshape(4, 4, side, side),
            [(0, 0), (0, 0), (0, 1), (0, 1)],
            constant_values=np.nan,
        )
        .transpose(0, 2, 1, 3)
        .reshape(4 * side + 4, 4 * side + 4)
        for kernel in found
    ]


def run_draw(settings):
    """Draws the picture.

    Args:
        settings: `DrawSettings`.
    """
    with told_to_the_user():
        rule, data = load_rule(settings), load_letters(settings)
    choice, updates = choice_set(data, 8), settings.updates
    with told_to_the_user(), picture(settings.output, 9, 3.2) as figure:
        axes = figure.subplots(1, 3, width_ratios=(1.6, 1, 1))
        for units, colour in zip(LAYERS, COLOURS, strict=True):
            values = curve(rule, units, choice)
            print(units, [round(v, 3) for v in values], flush=True)
            name = f"rule, {' - '.join(map(str, units))} units"
            axes[0].plot(STEPS, values, color=colour, label=name)
        raw = best_penalty(methods.flat(choice[1]), choice[2], 5, 10)[1]
        axes[0].axhline(raw, color=GIVEN, linestyle="--", label="raw pixels")
        axes[0].set_xlabel("updates of the base model, batches of 64")
        axes[0].set_title("5-way, 10 labels: held-out letters", fontsize=9)
        axes[0].legend(fontsize=7)
        shown = fields(rule, choice_set(data, 14)[0], updates)
        titles = ("fields before", f"after {updates} updates")
        for axis, image, title in zip(axes[1:], shown, titles, strict=True):
            axis.imshow(image, cmap="RdBu", vmin=-1, vmax=1)
            axis.set_title(title, fontsize=9)
            axis.set_axis_off()
