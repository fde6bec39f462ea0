"""Hides frameworks from imports, as if they were not installed."""

import sys
from importlib.machinery import ModuleSpec, PathFinder

FRAMEWORKS = {
    "jax": {"jax", "jaxlib"},
    "tensorflow": {"tensorflow"},
    "torch": {"torch"},
}


def block_other_backends(backend: str) -> set[str]:
    """Hides every framework but the one of `backend`; returns the hidden.

    Keras must not have been imported: it looks for the others at import.
    """
    if backend not in FRAMEWORKS:
        raise ValueError(
            f"`backend` must be one of {sorted(FRAMEWORKS)}. "
            f"Received: backend={backend!r}"
        )
    hidden = set().union(*FRAMEWORKS.values()) - FRAMEWORKS[backend]
    too_late = sorted(hidden & set(sys.modules))
    if too_late or "keras" in sys.modules:
        raise RuntimeError(
            "Frameworks must be blocked before anything imports keras. "
            f"Received: already imported={too_late}"
        )

    class HidingFinder(PathFinder):
        @classmethod
        def find_spec(cls, fullname, path=None, target=None):  # type: ignore
            if fullname.partition(".")[0] in hidden:
                return None
            spec: ModuleSpec | None = super().find_spec(fullname, path, target)
            return spec

    # In the place of the finder that would find them: `find_spec` then says
    # "not installed", as it does where they are absent.
    sys.meta_path[sys.meta_path.index(PathFinder)] = HidingFinder
    return hidden
