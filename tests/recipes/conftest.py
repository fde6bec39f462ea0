"""Recipes call the library alone: what they share they share everywhere."""

import pathlib

import pytest

HERE = pathlib.Path(__file__).parent
# Tracing and compiling each model that a test makes takes seconds. These files
# tell whether recipes run on a backend; PyTorch, which starts at once, runs the
# rest of them too, and the other two run them by `-m slow`.
EVERYWHERE = {
    "test_cli_fit.py",
    "test_cli_refusals.py",
    "test_model_file.py",
}


# Before the hook of `tests`, which reads the marker.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        folders = item.path.parents
        if HERE not in folders or HERE / "plain" in folders:
            continue
        if item.path.name not in EVERYWHERE:
            item.add_marker(pytest.mark.one_backend)
