"""Linear Gaussian chains as one big Normal, in float64 NumPy."""

import numpy as np


def parameters(steps, latent_dim, features, per_step, seed=0):
    """Random parameters of a `LinearGaussian`, as a dict of arrays.

    Args:
        steps: Number of steps.
        latent_dim: Size of a latent.
        features: Size of an observation.
        per_step: Whether each step has its own.
        seed: Of the parameters.
    """
    generator = np.random.default_rng(seed)

    def normal(*shape, lead=None):
        lead = () if lead is None or not per_step else (lead,)
        return 0.7 * generator.standard_normal((*lead, *shape))

    def covariance(size, lead=None):
        root = normal(size, size, lead=lead)
        return root @ np.swapaxes(root, -1, -2) + 0.3 * np.eye(size)

    before = steps - 1
    return {
        "initial_mean": normal(latent_dim),
        "initial_covariance": covariance(latent_dim),
        "transition_matrix": normal(latent_dim, latent_dim, lead=before),
        "transition_offset": normal(latent_dim, lead=before),
        "transition_covariance": covariance(latent_dim, before),
        "emission_matrix": normal(features, latent_dim, lead=steps),
        "emission_offset": normal(features, lead=steps),
        "emission_covariance": covariance(features, steps),
    }


def at(value, rank, step):
    """A parameter of one step, the last one beyond its entries."""
    if value.ndim == rank:
        return value
    return value[min(step, len(value) - 1)]


class Dense:
    """The joint Normal of all latents and all observations of one chain.

    Args:
        parameters: As from `parameters`.
        steps: Number of steps.
    """

    def __init__(self, parameters, steps):
        p, size = parameters, len(parameters["initial_mean"])
        features = p["emission_matrix"].shape[-2]
        mean = np.zeros((steps, size))
        cov = np.zeros((steps, steps, size, size))
        mean[0], cov[0, 0] = p["initial_mean"], p["initial_covariance"]
        for t in range(1, steps):
            matrix = at(p["transition_matrix"], 2, t - 1)
            mean[t] = matrix @ mean[t - 1]
            mean[t] += at(p["transition_offset"], 1, t - 1)
            for s in range(t):
                cov[t, s] = matrix @ cov[t - 1, s]
                cov[s, t] = cov[t, s].T
            cov[t, t] = matrix @ cov[t - 1, t - 1] @ matrix.T
            cov[t, t] += at(p["transition_covariance"], 2, t - 1)
        total = steps * size
        self.latent_mean = mean.reshape(total)
        self.latent_cov = cov.transpose(0, 2, 1, 3).reshape(total, total)
        emission = np.zeros((steps * features, total))
        offset = np.zeros(steps * features)
        noise = np.zeros((steps * features, steps * features))
        for t in range(steps):
            rows = slice(t * features, (t + 1) * features)
            columns = slice(t * size, (t + 1) * size)
            emission[rows, columns] = at(p["emission_matrix"], 2, t)
            offset[rows] = at(p["emission_offset"], 1, t)
            noise[rows, rows] = at(p["emission_covariance"], 2, t)
        self.mean = emission @ self.latent_mean + offset
        self.cross = emission @ self.latent_cov
        self.cov = self.cross @ emission.T + noise
        self.steps, self.size, self.features = steps, size, features

    def _seen(self, observed, until):
        """Indices of entries observed before step `until`."""
        flat = observed.copy()
        flat[until:] = False
        return np.flatnonzero(flat.reshape(-1))

    def log_evidence(self, observations, observed, until=None):
        seen = self._seen(observed, self.steps if until is None else until)
        residual = observations.reshape(-1)[seen] - self.mean[seen]
        cov = self.cov[np.ix_(seen, seen)]
        _, log_det = np.linalg.slogdet(cov)
        distance = residual @ np.linalg.solve(cov, residual)
        return -0.5 * (distance + log_det + len(seen) * np.log(2 * np.pi))

    def posterior(self, observations, observed, until=None):
        """Mean and covariance of all latents given x before `until`."""
        seen = self._seen(observed, self.steps if until is None else until)
        residual = observations.reshape(-1)[seen] - self.mean[seen]
        cov, cross = self.cov[np.ix_(seen, seen)], self.cross[seen]
        gain = np.linalg.solve(cov, cross).T
        return self.latent_mean + gain @ residual, (
            self.latent_cov - gain @ cross
        )

    def marginals(self, mean, cov):
        """Of each step: `(steps, size)` and `(steps, size, size)`."""
        parted = cov.reshape(self.steps, self.size, self.steps, self.size)
        own = [parted[t, :, t] for t in range(self.steps)]
        return mean.reshape(self.steps, self.size), np.stack(own)
