"""Tests of `keras_fivo/distributions`."""
