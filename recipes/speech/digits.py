"""The Free Spoken Digit Dataset, fetched where the user has none."""

import os
import shutil
import subprocess

from recipes.storage import cache_folder, scratch_folder

NAME = "free-spoken-digit-dataset"
REPOSITORY = f"https://github.com/Jakobovski/{NAME}"
# Git checks all that it fetches against this name of the content.
COMMIT = "26eb9aaf76e81b692f806f9140c2d2777410d7a1"


def digits_folder(say=print):
    """Returns the folder of spoken digits; fetches it if there is none.

    Args:
        say: Function that takes a line of text. Default: `print`.

    Returns:
        `pathlib.Path` within the cache folder.

    Raises:
        OSError: There is no git or no network, or the disk is full.
    """
    folder = cache_folder() / "speech" / NAME
    if folder.is_dir():
        return folder / "recordings"
    say(f"Fetching {REPOSITORY}")
    with scratch_folder(folder) as scratch:
        whole = scratch / NAME
        try:
            _fetch(whole)
        except (OSError, subprocess.CalledProcessError) as error:
            reason = getattr(error, "stderr", None) or str(error)
            raise OSError(
                f"Could not fetch {REPOSITORY} ({reason.strip()}). Clone it on "
                f"a machine with a network, check out {COMMIT}, and put it at "
                f"{folder}. Or name its folder `recordings` with `source=PATH` "
                "in `prepare speech corpus=digits`, or with `data_path=PATH` "
                "elsewhere."
            ) from error
        shutil.rmtree(whole / ".git")
        os.replace(whole, folder)
    return folder / "recordings"


def _fetch(folder):
    for command in (
        ["init", "--quiet", str(folder)],
        ["fetch", "--quiet", "--depth=1", REPOSITORY, COMMIT],
        ["checkout", "--quiet", COMMIT],
    ):
        where = [] if command[0] == "init" else ["-C", str(folder)]
        subprocess.run(
            ["git", *where, *command],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
        )
