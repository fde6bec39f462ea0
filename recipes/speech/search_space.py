"""What a search over models of speech may change, and how far."""

from recipes.speech.config import EMISSIONS

CHOICES = {
    "bound": ("elbo", "iwae", "fivo"),
    "model": ("vrnn", "srnn"),
    "proposal": ("filtering", "smoothing"),
    # Densities only: their bounds can be compared.
    "emission": EMISSIONS[:4],
    "num_particles": (4, 8, 16),
    "latent_dim": (16, 32, 64, 128),
    "units": (64, 128, 256),
    "dropout": (0.0, 0.1, 0.2),
    "weight_decay": (0.0, 1e-3, 1e-2),
    "batch_size": (8, 16, 32),
}
RANGES = {  # on a logarithmic scale
    "learning_rate": (3e-4, 5e-3),
}
