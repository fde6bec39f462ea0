"""Recordings of speech: reading them, preparing them, batching them."""
