"""The Gaussian chain, whose log evidence is known exactly."""

import pathlib
from typing import Any, ClassVar

from recipes.errors import RecipeError
from recipes.ghmm.config import LEARNED, FitSettings, SampleSettings
from recipes.ghmm.data import Chains, independent_normal_baseline
from recipes.recipe import DataSet, Recipe
from recipes.settings.common import SampleSettings as AnySampleSettings

# Of a batch of evaluation: particles x steps numbers.
_BUDGET = 2**22


class GaussianChain(Recipe[Chains]):
    """Simulated sequences, and proposals for their latents."""

    name = "ghmm"
    data_sets = (
        DataSet(
            FitSettings(
                data="chain",
                learning_rate=1e-2,
                schedule="cosine",
                updates=4_000,
            ),
            "a simulated Gaussian chain, whose log evidence is known exactly",
            "simulated by this project, Apache 2.0.",
        ),
    )
    intended_use = (
        "Holding bounds and smoothers against exact answers: the chain is "
        "given, the proposal is learned. Input: `(batch, steps, 1)`, at most "
        "20 steps where the proposal is linear."
    )
    limits = "It is a model of its own simulation and of nothing else."
    sample_settings: ClassVar[AnySampleSettings] = SampleSettings(
        num_prefixes=2, sample_length=8, num_particles=32
    )
    sample_help = """\
Draws sequences of a split: what filtering, smoothing, forecasting and sampling
by particles find, beside the exact answers (posterior-N.png). Writes
samples.npz too, with the prefixes and what was sampled after them.

  python -m recipes sample runs/chain-ghmm-fivo
  python -m recipes sample runs/chain-ghmm-fivo num_particles=16"""
    choices: ClassVar[dict[str, Any]] = {
        "bound": ("elbo", "iwae", "fivo"),
        "proposal": LEARNED,
        "num_particles": (4, 8, 16),
        "units": (8, 16, 32),
        "batch_size": (16, 32, 64),
    }
    ranges: ClassVar[dict[str, Any]] = {"learning_rate": (1e-3, 5e-2)}
    searched = ("learning_rate", "proposal", "bound", "num_particles")

    def load(self, settings: Any, show_progress: bool = True) -> Chains:
        if settings.data_path is not None:
            raise RecipeError(
                "The chain is simulated and not read from a file. "
                f"Received: data_path={settings.data_path!r}. Set "
                "`transition_type`, `observation_type` and so on."
            )
        return Chains(
            settings,
            settings.num_steps,
            settings.num_sequences,
            settings.data_seed,
        )

    def train_batches(self, data: Chains, settings: Any) -> Any:
        from recipes.data.sequence_dataset import SequenceDataset

        return SequenceDataset(
            data.split("train"),
            batch_size=settings.batch_size,
            seed=settings.seed,
            num_buckets=1,
            chunk_length=settings.chunk_length,
            # The linear proposals have parameters for so many steps, no more.
            length_multiple=1,
        )

    def evaluation_batches(
        self, sequences: Any, num_particles: int, latent_dim: int = 1
    ) -> Any:
        from recipes.data.sequence_dataset import SequenceDataset

        fitting = _BUDGET // (max(map(len, sequences)) * num_particles)
        return SequenceDataset(
            sequences,
            batch_size=max(1, min(256, fitting, len(sequences))),
            shuffle=False,
            num_buckets=1,
            length_multiple=1,
        )

    def build_model(self, settings: Any, data: Chains, train: Any) -> Any:
        if settings.proposal not in LEARNED and not settings.learn_model:
            raise RecipeError(
                "There is nothing to learn: this proposal has no weights of "
                "its own, and the chain is given. Received: proposal="
                f"{settings.proposal!r}, learn_model=False. Choose a proposal "
                f"of {', '.join(LEARNED)}, or set learn_model=true. "
                "`python -m recipes.experiments.gaps` measures all of them."
            )
        import keras

        from recipes.ghmm.models import build_cell, build_proposal
        from recipes.training.modelling import compile_model

        keras.utils.set_random_seed(settings.seed)
        proposal = build_proposal(
            settings.proposal,
            settings.num_steps,
            settings.hidden_units,
            settings.units,
        )
        cell = build_cell(data.process, proposal, settings.learn_model)
        return compile_model(cell, settings, train)

    def callbacks(self, model: Any, data: Chains, settings: Any) -> Any:
        from recipes.ghmm.exact_gap import ExactGap
        from recipes.pictures import has_matplotlib

        batches = self.evaluation_batches(
            data.split("valid"), settings.evaluation_particles
        )
        folder = settings.folder if has_matplotlib() else None
        return [ExactGap(batches, folder)]

    def baseline(self, data: Chains, split: str) -> tuple[str, float]:
        return "independent Normal", independent_normal_baseline(data, split)

    def after_evaluation(
        self, trained: Any, settings: Any, content: dict[str, Any]
    ) -> dict[str, Any]:
        from recipes.ghmm.report import exact_report

        return exact_report(trained, settings, content)

    def sample(self, trained: Any, settings: Any) -> list[pathlib.Path]:
        from recipes.ghmm.sampling import sample

        return sample(trained, settings)
