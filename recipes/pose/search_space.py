"""What a search over models of poses may change, and how far."""

CHOICES = {
    "bound": ("elbo", "iwae", "fivo"),
    "proposal": ("filtering", "smoothing"),
    "emission": ("normal", "student_t", "laplace", "normal_mixture"),
    "num_particles": (4, 8, 16),
    "latent_dim": (8, 16, 32),
    "units": (32, 64, 128),
    "dropout": (0.0, 0.1, 0.2),
    "weight_decay": (0.0, 1e-3, 1e-2),
    "batch_size": (4, 8, 16),
}
RANGES = {  # on a logarithmic scale
    "learning_rate": (3e-4, 5e-3),
}
