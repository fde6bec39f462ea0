"""Recipes call the library alone: what they share they share everywhere."""

import os
import pathlib

import pytest

HERE = pathlib.Path(__file__).parent
# TensorFlow takes several seconds to trace each model that a test makes. These
# files tell whether recipes run there; the rest of them is run by `-m slow`.
ON_TENSORFLOW = {
    "test_cli_fit.py",
    "test_cli_refusals.py",
    "test_model_file.py",
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    if os.environ["KERAS_BACKEND"] != "tensorflow":
        return
    for item in items:
        folders = item.path.parents
        if HERE not in folders or HERE / "plain" in folders:
            continue
        if item.path.name not in ON_TENSORFLOW:
            item.add_marker(pytest.mark.slow)
