"""Measures the training step: `python -m recipes benchmark`."""
