"""`python -m recipes.learned_rule`: what is measured and drawn of a rule.

Nothing here imports Keras before a program runs: help is quick.
"""

import sys

from recipes.learned_rule.config import (
    DrawSettings,
    ScoreSettings,
    SpeedSettings,
)
from recipes.settings.program import Program, run_one_of

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


def _transfer(settings: ScoreSettings) -> None:
    from recipes.learned_rule.transfer import run_transfer

    run_transfer(settings)


def _draw(settings: DrawSettings) -> None:
    from recipes.learned_rule.draw import run_draw

    run_draw(settings)


def _speed(settings: SpeedSettings) -> None:
    from recipes.learned_rule.speed import run_speed

    run_speed(settings)


PROGRAMS = {
    "transfer": Program(
        f"{_COMMAND} transfer",
        "Scores a rule on base models that meta-training never had.",
        _TRANSFER,
        ScoreSettings(),
        _transfer,
        positional="run",
    ),
    "draw": Program(
        f"{_COMMAND} draw",
        "Draws what a rule does.",
        _DRAW,
        DrawSettings(),
        _draw,
        positional="run",
    ),
    "speed": Program(
        f"{_COMMAND} speed",
        "Times an update of a rule, and its gradient.",
        _SPEED,
        SpeedSettings(),
        _speed,
    ),
}

if __name__ == "__main__":
    sys.exit(run_one_of(PROGRAMS))
