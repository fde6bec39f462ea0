"""Tests of `keras_fivo/smc`."""
