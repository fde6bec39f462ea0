"""What a search over proposals of the chain may change, and how far."""

CHOICES = {
    "bound": ("elbo", "iwae", "fivo"),
    "proposal": (
        "linear_filtering",
        "filtering",
        "linear_smoothing",
        "smoothing",
    ),
    "num_particles": (4, 8, 16),
    "units": (8, 16, 32),
    "batch_size": (16, 32, 64),
}
RANGES = {  # on a logarithmic scale
    "learning_rate": (1e-3, 5e-2),
}
