"""Models from settings."""

import keras

import keras_fivo as kf
from recipes.settings import iterative
from recipes.training.refining import (
    build_emission,
    build_proposal,
    networks_of,
)

# Known by name: a cell that is not there yet is refused, and not missed.
CELLS = {"vrnn": "VRNNCell", "srnn": "SRNNCell"}


def build_bound(name, num_particles, settings):
    """Returns a bound of this name, resampling as the settings say.

    Args:
        name: str. `"elbo"`, `"iwae"` or `"fivo"`.
        num_particles: Number of particles.
        settings: Has `scheme`, `criterion`, `ess_fraction`, `temperature`,
            `analytic_kl`.

    Returns:
        A `keras_fivo.Bound`.
    """
    if name == "elbo":
        return kf.ELBO(num_particles, settings.analytic_kl)
    if name == "iwae":
        return kf.IWAE(num_particles)
    scheme, criterion = settings.scheme, settings.criterion
    if scheme == "relaxed":
        scheme = kf.Relaxed(settings.temperature)
    if criterion == "effective_sample_size":
        criterion = kf.EffectiveSampleSize(settings.ess_fraction)
    return kf.FIVO(num_particles, scheme, criterion)


def build_cell(settings, emission):
    """Returns the cell that the settings describe.

    Args:
        settings: Has `model`, `latent_dim`, `units`, `hidden_units`,
            `proposal` and `dropout`, and may have what
            `recipes.settings.iterative` adds.
        emission: A head of keras_fivo, or its name.
    """
    proposal, further = settings.proposal, {}
    if isinstance(settings, iterative.FitSettings):
        proposal = build_proposal(settings)
        emission = build_emission(emission, settings)
        further = networks_of(settings)
    return getattr(kf, CELLS[settings.model])(
        latent_dim=settings.latent_dim,
        units=settings.units or settings.latent_dim,
        hidden_units=settings.hidden_units,
        emission=emission,
        proposal=proposal,
        dropout=settings.dropout,
        **further,
    )


def build_optimizer(settings):
    """Returns Adam, with the schedule, decay and clipping of the settings."""
    rate = settings.learning_rate
    if settings.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, settings.updates)
    optimizer = keras.optimizers.Adam(
        rate,
        weight_decay=settings.weight_decay or None,
        clipnorm=settings.clipnorm,
    )
    if settings.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


def build_for(recipe, data, train, settings):
    """Returns a compiled model, with the weights that training begins with.

    Args:
        recipe: `recipes.recipe.Recipe`.
        data: What its `load` gave.
        train: Batches of the training data, for `adapt`.
        settings: `FitSettings` of the recipe.
    """
    model = recipe.build_model(settings, data, train)
    if settings.preset:
        take_weights(model, settings.preset)
    return model


def take_weights(model, preset):
    """Gives a model the weights and the centring of a preset.

    Args:
        model: A built model.
        preset: Name, folder or handle of a preset.

    Raises:
        ValueError: There is no such preset, or its cell is another.
    """
    start = kf.LatentSequenceModel.from_preset(preset)
    shapes = [
        [tuple(weight.shape) for weight in one.cell.weights]
        for one in (model, start)
    ]
    if type(model.cell) is not type(start.cell) or shapes[0] != shapes[1]:
        raise ValueError(
            "A model that begins with the weights of a preset must have its "
            "cell, sizes and emission: leave them unset. Received: "
            f"preset={preset!r}, {type(start.cell).__name__} of "
            f"{start.cell.count_params():,} weights, for "
            f"{type(model.cell).__name__} of {model.cell.count_params():,}"
        )
    for mine, theirs in zip(
        model.cell.weights, start.cell.weights, strict=True
    ):
        mine.assign(theirs.value)


def build_model(settings, train, emission):
    """Returns a compiled model, adapted to the training data.

    Args:
        settings: `recipes.settings.common.FitSettings`.
        train: Batches of the training data, for `adapt`.
        emission: A head of keras_fivo, or its name.

    Returns:
        A `keras_fivo.LatentSequenceModel`.
    """
    keras.utils.set_random_seed(settings.seed)
    return compile_model(build_cell(settings, emission), settings, train)


def compile_model(cell, settings, train, scale=False):
    """Returns a compiled model of a cell, adapted to the training data.

    Args:
        cell: A `keras_fivo.LatentCell`.
        settings: `recipes.settings.common.FitSettings`.
        train: Batches of the training data, for `adapt`.
        scale: Whether the model takes its scales from them too.

    Returns:
        A `keras_fivo.LatentSequenceModel`.
    """
    chosen = settings.evaluation_bound
    model = kf.LatentSequenceModel(
        cell,
        bound=build_bound(settings.bound, settings.num_particles, settings),
        evaluation_bound=build_bound(
            settings.bound if chosen == "same" else chosen,
            settings.evaluation_particles,
            settings,
        ),
        loss_per=settings.loss_per,
        seed=settings.seed,
        kl_weight=settings.kl_updates
        and kf.KLWarmUp(settings.kl_updates, settings.kl_power),
    )
    # Published numbers are of data that are scaled, or not, before.
    model.adapt(train, scale=scale)
    compiled = settings.jit_compile
    model.compile(
        optimizer=build_optimizer(settings),
        jit_compile=compiled if compiled == "auto" else compiled == "true",
    )
    model.optimizer.build(model.trainable_variables)
    return model
