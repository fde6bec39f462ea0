"""What a search over piano-roll models may change, and how far."""

CHOICES = {
    "bound": ("elbo", "iwae", "fivo"),
    "proposal": ("filtering", "smoothing"),
    "emission": ("bernoulli", "autoregressive_bernoulli"),
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
