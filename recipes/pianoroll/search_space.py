"""What a search may change, and how far."""

CHOICES = {
    "bound": ("elbo", "iwae", "fivo"),
    "proposal": ("filtering", "smoothing"),
    "num_particles": (4, 8, 16),
    "latent_dim": (16, 32, 64),
    "units": (32, 64, 128),
    "dropout": (0.0, 0.1, 0.2, 0.3),
    "weight_decay": (0.0, 1e-3, 1e-2),
    "batch_size": (4, 8, 16),
}
RANGES = {  # on a logarithmic scale
    "learning_rate": (1e-4, 3e-3),
}
KNOWN = (*CHOICES, *RANGES)


def choose(hp, names):
    """One point of the search space.

    Args:
        hp: `keras_tuner.HyperParameters`.
        names: The settings that are searched, of `KNOWN`.

    Returns:
        A dict of settings of `recipes.pianoroll.config.FitSettings`.

    Raises:
        ValueError: A name is not in the search space.
    """
    chosen = {}
    for name in names:
        if name in RANGES:
            low, high = RANGES[name]
            chosen[name] = hp.Float(name, low, high, sampling="log")
        elif name in CHOICES:
            values = CHOICES[name]
            ordered = not isinstance(values[0], str)
            chosen[name] = hp.Choice(name, list(values), ordered=ordered)
        else:
            raise ValueError(
                f"`search` may name {', '.join(KNOWN)}. "
                f"Received: search with {name!r}."
            )
    return chosen
