"""Rules that train networks without labels, meta-trained on letters."""

import pathlib
from typing import Any, ClassVar

from recipes.errors import RecipeError
from recipes.learned_rule.config import (
    EvaluateSettings,
    FitSettings,
    TuneSettings,
)
from recipes.recipe import DataSet, Recipe

_EVALUATE = """\
Prints the accuracy with a few labels of what a rule makes of images that it has
not seen, beside that of raw pixels, principal components, random
initialisation, an untrained rule, an autoencoder and a VAE.

  python -m recipes evaluate runs/learned_rule-0 mnist=mnist.npz
  python -m recipes evaluate learned-rule-slim held_out=digits"""

_TUNE = """\
Searches at random for what merges the terms of a change, before meta-training,
and keeps the best in merge.json, which `fit` reads.

  python -m recipes tune learned_rule
  python -m recipes fit learned_rule merge=runs/learned_rule-tune/merge.json"""


class LearnedRule(Recipe[Any]):
    """Rules that train networks without labels, meta-trained on letters."""

    name = "learned_rule"
    has_bounds = False
    preset_class = "LearnedRuleModel"
    evaluate_settings = EvaluateSettings()
    evaluate_help = _EVALUATE
    tune_help = _TUNE
    data_sets = (
        DataSet(
            FitSettings(),
            "letters of the fonts that are installed, for a rule that trains "
            "networks",
        ),
    )
    choices: ClassVar[dict[str, Any]] = {}
    ranges: ClassVar[dict[str, Any]] = {}
    searched = ()

    def tune_settings(self, data: str = "", **given: Any) -> TuneSettings:
        return TuneSettings(**given)

    def load(self, settings: Any, show_progress: bool = True) -> Any:
        from recipes.learned_rule.meta_train import load_glyphs

        return load_glyphs(pathlib.Path(settings.folder, "glyphs.npz"))

    def fit(self, settings: Any) -> None:
        from recipes.learned_rule.fitting import run_fit

        run_fit(settings)

    def tune(self, settings: Any) -> None:
        from recipes.learned_rule.search import run_search

        run_search(settings.folder, settings.trials, settings.seed)

    def evaluate(self, settings: Any) -> None:
        from recipes.learned_rule.evaluate import run_evaluate

        run_evaluate(settings)

    def sample(self, trained: Any, settings: Any) -> list[pathlib.Path]:
        raise RecipeError(
            "A rule is evaluated, and not sampled: see `evaluate`. "
            f"Received: sample of data={trained.data!r}."
        )
