"""LJSpeech, fetched where the user has none: 13,100 sentences of one voice."""

import os
import re
import shutil
import tarfile

from recipes.download import RemoteFile, fetch
from recipes.storage import cache_folder, scratch_folder

NAME = "LJSpeech-1.1"
ARCHIVE = RemoteFile(
    url=f"https://data.keithito.com/data/speech/{NAME}.tar.bz2",
    sha256="be1a30453f28eb8dd26af4101ae40cbf2c50413b1bb21936cbcdc6fae3de8aa5",
    size=2_748_572_632,
)
_MEMBER = re.compile(rf"{re.escape(NAME)}/wavs/([\w-]+\.wav)")


def ljspeech_folder(say=print):
    """Returns the folder of LJSpeech; downloads it if there is none.

    Args:
        say: Function that takes a line of text. Default: `print`.

    Returns:
        `pathlib.Path` within the cache folder.

    Raises:
        OSError: There is no network, or the disk is full.
        ValueError: What was downloaded is not LJSpeech.
    """
    folder = cache_folder() / "speech" / NAME
    archive = folder.with_name(ARCHIVE.url.rpartition("/")[2])
    if folder.is_dir():
        archive.unlink(missing_ok=True)  # if a kill left it
        return folder
    if not archive.exists():
        say(f"Downloading {ARCHIVE.url}, {ARCHIVE.size / 1e9:.1f} GB")
    fetch(ARCHIVE, archive, "Or name the unpacked corpus with `source=PATH`.")
    say(f"Unpacking {archive}")
    with scratch_folder(folder) as scratch:
        whole = scratch / NAME
        whole.mkdir()
        _unpack(archive, whole)
        os.replace(whole, folder)
    archive.unlink()
    return folder


def _unpack(archive, folder):
    with tarfile.open(archive, "r|bz2") as tar:
        for member in tar:
            match = _MEMBER.fullmatch(member.name)
            if match and member.isfile():
                with open(folder / match[1], "wb") as file:
                    shutil.copyfileobj(tar.extractfile(member), file)
