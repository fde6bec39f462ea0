"""Batches of sequences, whatever they are of."""
