"""The Gaussian chain, whose log evidence is known exactly."""
