"""`python -m recipes`."""

import sys

if __name__ == "__main__":
    try:
        from recipes.cli import main
    except ModuleNotFoundError as error:
        if error.name not in ("pydantic", "tqdm"):
            raise
        sys.exit(
            f"error: The recipes need the package {error.name}. "
            'Run `pip install "keras_fivo[recipes]"`.'
        )
    sys.exit(main())
