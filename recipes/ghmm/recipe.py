"""What the verbs call for the Gaussian chain."""

import keras

from recipes.data.sequence_dataset import SequenceDataset
from recipes.errors import RecipeError
from recipes.ghmm.data import Chains, Process, independent_normal_baseline
from recipes.ghmm.exact_gap import ExactGap
from recipes.ghmm.models import LEARNED, build_cell, build_proposal
from recipes.ghmm.plots import has_matplotlib
from recipes.ghmm.report import after_evaluation as after_evaluation
from recipes.ghmm.sampling import sample as sample
from recipes.training.modelling import compile_model

# Of a batch of evaluation: particles x steps numbers.
_BUDGET = 2**22


def load(settings, show_progress=True):
    """`Chains`, simulated as the settings say.

    Args:
        settings: `recipes.ghmm.config.FitSettings`.
        show_progress: bool. Of no use: it takes no time.

    Raises:
        RecipeError: The settings name a file.
    """
    if settings.data_path is not None:
        raise RecipeError(
            "The chain is simulated and not read from a file. "
            f"Received: data_path={settings.data_path!r}. Set "
            "`transition_type`, `observation_type` and so on."
        )
    process = Process(
        transition_type=settings.transition_type,
        observation_type=settings.observation_type,
        steps_per_observation=settings.steps_per_observation,
        transition_variance=settings.transition_variance,
        observation_variance=settings.observation_variance,
        extra_latent=settings.extra_latent,
    )
    return Chains(
        process, settings.num_steps, settings.num_sequences, settings.data_seed
    )


def train_batches(data, settings):
    """Shuffled batches of the train split."""
    return SequenceDataset(
        data.split("train"),
        batch_size=settings.batch_size,
        seed=settings.seed,
        num_buckets=1,
        chunk_length=settings.chunk_length,
        # The linear proposals have parameters for so many steps and no more.
        length_multiple=1,
    )


def evaluation_batches(sequences, num_particles, latent_dim=1):
    """Batches in order, as large as memory allows."""
    fitting = _BUDGET // (max(map(len, sequences)) * num_particles)
    return SequenceDataset(
        sequences,
        batch_size=max(1, min(256, fitting, len(sequences))),
        shuffle=False,
        num_buckets=1,
        length_multiple=1,
    )


def build_model(settings, data, train):
    """A compiled model, adapted to the training data.

    Args:
        settings: `recipes.ghmm.config.FitSettings`.
        data: `Chains`.
        train: Batches of the training data, for `adapt`.

    Raises:
        RecipeError: There is nothing to learn.
    """
    if settings.proposal not in LEARNED and not settings.learn_model:
        raise RecipeError(
            "There is nothing to learn: this proposal has no weights of its "
            "own, and the chain is given. Received: proposal="
            f"{settings.proposal!r}, learn_model=False. Choose a proposal of "
            f"{', '.join(LEARNED)}, or set learn_model=true. "
            "`python -m recipes.experiments.gaps` measures all of them."
        )
    keras.utils.set_random_seed(settings.seed)
    proposal = build_proposal(
        settings.proposal,
        settings.num_steps,
        settings.hidden_units,
        settings.units,
    )
    cell = build_cell(data.process, proposal, settings.learn_model)
    return compile_model(cell, settings, train)


def callbacks(model, data, settings):
    """The exact log evidence and the gap to it, in the logs and a picture."""
    batches = evaluation_batches(
        data.split("valid"), settings.evaluation_particles
    )
    return [ExactGap(batches, settings.folder if has_matplotlib() else None)]


def baseline(data, split):
    """What a predictor without time reaches: its name, and nats per step."""
    return "independent Normal", independent_normal_baseline(data, split)
