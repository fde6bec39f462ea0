"""`list`: the data sets that there are."""

import argparse

from recipes.pianoroll.config import NAMES, FitSettings

SUMMARY = "List the data sets and what is needed for them."
_SOURCES = {
    "bach": "Bach's chorales, parsed from the package music21; no download",
    "jsb": "Bach's chorales, the canonical split",
    "nottingham": "folk tunes",
    "musedata": "orchestral and piano music, long",
    "piano_midi": "classical piano music, longest",
}


def main(argv):
    """Runs the verb."""
    argparse.ArgumentParser(
        prog="python -m recipes list", description=SUMMARY
    ).parse_args(argv)
    print(f"{'data':<12} {'latent_dim':>10}  {'what'}")
    for name in NAMES:
        size = FitSettings.from_given({"data": name}).latent_dim
        print(f"{name:<12} {size:>10}  {_SOURCES[name]}")
    print(
        "\nAll but bach are downloaded and checked, or read from a file with "
        "data_path=FILE\n(.npz, .mat or .pkl). Try: python -m recipes fit bach"
    )
