"""Tests here import no Keras: they run once, and not once for each backend."""

import sys

import pytest


@pytest.fixture(autouse=True)
def _same_start_for_every_test():
    """Takes the place of what sets Keras' seed."""


@pytest.fixture(autouse=True, scope="module")
def _memory_is_given_back():
    """Checks that a module of tests did not import Keras after all."""
    was_there = "keras" in sys.modules
    yield
    if not was_there and "keras" in sys.modules:
        raise AssertionError(
            "A test imports Keras. Move it from `plain` to the folder above."
        )
