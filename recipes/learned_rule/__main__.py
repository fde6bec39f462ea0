"""`python -m recipes.learned_rule`: what is measured and drawn of a rule."""

import sys

from recipes.learned_rule.config import (
    DrawSettings,
    ScoreSettings,
    SpeedSettings,
)
from recipes.settings.program import Program, lazily, run_one_of

_COMMAND = "python -m recipes.learned_rule"
_TRANSFER = """\
Scores a rule on base models of other depths and widths, with inputs in an order
without sense and with another activation, each beside the same base model at
random initialisation, 5-way with 10 labels. With `output`, the command goes on
where it was stopped.

  python -m recipes.learned_rule transfer mnist=mnist.npz
  python -m recipes.learned_rule transfer runs/third average=550,600"""
_DRAW = """\
Draws accuracy on held-out letters by the number of updates of base models, and
receptive fields before and after.

  python -m recipes.learned_rule draw output=picture.png"""
_SPEED = """\
Times an update of a base model, and its gradient within an unroll, in
milliseconds of processor time, each in a process of its own; and tells the peak
of its memory.

  python -m recipes.learned_rule speed
  python -m recipes.learned_rule speed rule=slim part=unroll length=6"""


PROGRAMS = {
    "transfer": Program(
        f"{_COMMAND} transfer",
        "Scores a rule on base models that meta-training never had.",
        _TRANSFER,
        ScoreSettings(),
        lazily("recipes.learned_rule.transfer:run_transfer"),
        positional="run",
    ),
    "draw": Program(
        f"{_COMMAND} draw",
        "Draws what a rule does.",
        _DRAW,
        DrawSettings(),
        lazily("recipes.learned_rule.draw:run_draw"),
        positional="run",
    ),
    "speed": Program(
        f"{_COMMAND} speed",
        "Times an update of a rule, and its gradient.",
        _SPEED,
        SpeedSettings(),
        lazily("recipes.learned_rule.speed:run_speed"),
    ),
}

if __name__ == "__main__":
    sys.exit(run_one_of(PROGRAMS))
