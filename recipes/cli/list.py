"""`list`: the data sets that there are."""

import argparse

from recipes.registry import RECIPES, config_of

SUMMARY = "List the data sets and what is needed for them."


def main(argv):
    """Runs the verb."""
    argparse.ArgumentParser(
        prog="python -m recipes list", description=SUMMARY
    ).parse_args(argv)
    print(f"{'data':<12} {'recipe':<10}  what")
    for recipe in RECIPES:
        for name, what in config_of(recipe).SOURCES.items():
            print(f"{name:<12} {recipe:<10}  {what}")
    print(
        "\nMusic but bach is downloaded and checked, or read from a file with "
        "data_path=FILE\n(.npz, .mat or .pkl); recipes/RECIPE/README.md tells "
        "of the others.\nTry: python -m recipes fit bach"
    )
