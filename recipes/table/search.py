"""What a search tries."""

from recipes.errors import RecipeError

CHOICES = {
    "temperature": (1.0, 2.0, 3.0, 5.0, 10.0),
    "prior_scale": (0.5, 0.7, 1.0, 1.4),
    "powers": ((0.0, 0.5, 1.0), (0.0, 1.0), (0.5,), (0.0,), (1.0,)),
    "cycles": ((), (9.0,), (9.0, 4.0), (12.0, 6.0, 3.0)),
    "harmonics": (2, 4, 6, 8),
    "calendar": (False, True),
}


def draw_settings(settings, generator):
    """Returns values of the settings that are searched.

    Args:
        settings: Has `search`.
        generator: `numpy.random.Generator`.
    """
    unknown = [name for name in settings.search if name not in CHOICES]
    if unknown:
        raise RecipeError(
            f"`search` may name {', '.join(CHOICES)}. "
            f"Received: search with {unknown[0]!r}."
        )
    return {
        name: CHOICES[name][generator.integers(len(CHOICES[name]))]
        for name in settings.search
    }
