"""Tests of `keras_fivo/cells`."""
