"""Packages that not everybody has."""

import importlib.util

_NAMES = {
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "keras_tuner": "keras-tuner",
}


def require(what: str, extra: str, *modules: str) -> None:
    """Refuses to begin what would fail for want of a package.

    Args:
        what: What needs the packages, the subject of a sentence.
        extra: Extra of keras_fivo that installs them.
        *modules: Names of the modules to import.

    Raises:
        ImportError: One is not installed.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise ImportError(
                f"{what} needs the package {_NAMES.get(module, module)}. "
                f'Run `pip install "keras_fivo[{extra}]"`.'
            )
