"""Recipes that train the models of keras_fivo, run from a checkout."""
