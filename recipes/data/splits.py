"""The splits that every data set has."""

SPLITS = ("train", "valid", "test")


class Splits:
    """A data set with the sequences of each split under its name."""

    def split(self, name):
        """Returns the sequences of the split of this name.

        Raises:
            ValueError: There is none of this name.
        """
        if name not in SPLITS:
            raise ValueError(
                f"A split is one of {', '.join(SPLITS)}. "
                f"Received: split={name!r}."
            )
        return getattr(self, name)
