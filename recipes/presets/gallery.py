"""`gallery`: a page of presets, from what their cards tell."""

import pathlib
from collections.abc import Sequence
from typing import Any

from recipes.errors import RecipeError, told_to_the_user
from recipes.packages import require
from recipes.presets.card import bounds_table, data_set, reported_bound, summary
from recipes.presets.config import GallerySettings
from recipes.presets.finding import shipped_folder
from recipes.registry import recipe_of
from recipes.storage import atomic_path, scratch_folder
from recipes.training.run_folder import RunFolder

_HEAD = """\
# Gallery

Trained models by name: `kf.LatentSequenceModel.from_preset(NAME)` loads one
offline, on any backend; `kf.LatentSequenceModel.presets` tells of each, and
what it reaches. `python -m recipes evaluate NAME` prints its numbers, `sample
NAME` samples from it, `fit DATA preset=NAME` goes on with its weights. Each has
a model card, the `README.md` in its folder. This page is written by `python -m
recipes gallery`, from the cards; with `draw=true` the pictures and sounds are
made anew.

| name | data | weights | KiB | trained with | test, nats per step | KL |
|---|---|---|---|---|---|---|
"""


def run_gallery(settings: GallerySettings) -> pathlib.Path:
    """Writes the page; returns its path.

    Raises:
        RecipeError: There are no presets, or one has no record.
    """
    root = pathlib.Path(settings.presets or shipped_folder()).expanduser()
    folders = sorted(path.parent for path in root.glob("*/run.json"))
    if not folders:
        raise RecipeError(
            "The folder must hold folders of presets. "
            f"Received: presets={str(root)!r}, which holds none."
        )
    output = pathlib.Path(settings.output).expanduser()
    rows, sections = [], []
    for folder in folders:
        if settings.draw:
            draw(folder, output / "gallery", settings.data_folder)
        row, section = _entry(folder, output)
        rows.append(row)
        sections.append(section)
    page = output / "gallery.md"
    with told_to_the_user(), atomic_path(page) as partial:
        text = _HEAD + "\n".join(rows) + "\n\n" + "\n".join(sections)
        partial.write_text(text, "utf-8")
    print(f"{len(folders)} presets: {page}")
    return page


def draw(
    folder: pathlib.Path, output: pathlib.Path, data_folder: str | None
) -> None:
    """Samples from a preset; keeps a picture, and sounds where there are any.

    Args:
        folder: Folder of the preset.
        output: Folder to write NAME.png and NAME.ogg into.
        data_folder: Folder of DATA.npz; data that are not there come from
            their own source.
    """
    from recipes.training.trained import run_sample

    record = RunFolder(folder).read_record() or {"settings": {}}
    data = record["settings"].get("data")
    recipe = recipe_of(data)
    given = pathlib.Path(data_folder or "").expanduser() / f"{data}.npz"
    output.mkdir(parents=True, exist_ok=True)
    with told_to_the_user(), scratch_folder(output) as scratch:
        settings = recipe.gallery_settings or recipe.sample_settings
        written = run_sample(
            settings.changed(
                run=str(folder),
                data_path=str(given)
                if data_folder and given.is_file()
                else None,
                output=str(scratch),
            )
        )
        picture = next(path for path in written if path.suffix == ".png")
        shrink(picture, output / f"{folder.name}.png")
        sounds = [path for path in written if path.suffix == ".wav"]
        if sounds:
            join_sounds(sounds, output / f"{folder.name}.ogg")


def shrink(picture: pathlib.Path, path: pathlib.Path) -> None:
    """Writes a picture of at most 1,000 pixels a line and 256 colours."""
    from PIL import Image

    with Image.open(picture) as image:
        small = image.convert("RGB")
    small.thumbnail((1_000, small.height))
    small = small.quantize(256, dither=Image.Dither.NONE)
    with atomic_path(path) as partial:
        small.save(partial, format="png", optimize=True)


def join_sounds(sounds: Sequence[Any], path: pathlib.Path) -> None:
    """Writes sounds one after the other, until they last ten seconds.

    Args:
        sounds: Paths of WAV files of one sample rate.
        path: Path of the OGG file.
    """
    require("A sound of the gallery", "audio", "soundfile")
    import numpy as np
    import soundfile

    joined: list[Any] = []
    for sound in sounds:
        samples, rate = soundfile.read(sound, dtype="int16")
        joined += [samples, np.zeros(rate // 3, "int16")]
        if sum(map(len, joined)) > 10 * rate:
            break
    with atomic_path(path) as partial:
        soundfile.write(
            str(partial), np.concatenate(joined), rate, format="OGG"
        )


def _entry(folder: pathlib.Path, output: pathlib.Path) -> tuple[str, str]:
    """Returns the row and the section of a preset."""
    run = RunFolder(folder)
    record, content = run.read_record(), run.read_evaluation("test")
    if record is None or content is None:
        raise RecipeError(
            "A preset must have a run.json and an evaluation-test.json. "
            f"Received: {str(folder)!r}."
        )
    name, recipe = folder.name, recipe_of(record["settings"]["data"])
    settings = record["settings"]
    bound = reported_bound(record, content)
    row = content["bounds"][bound]
    size = sum(path.stat().st_size for path in folder.iterdir()) / 1024
    line = (
        f"| [`{name}`](#{name}) | `{settings['data']}` | {record['weights']:,} "
        f"| {size:,.0f} | {settings['bound'].upper()}, "
        f"{settings['num_particles']} | **{row['bound_per_step']:.3f}** "
        f"({bound.upper()}) | {row['kl_per_step']:.3f} |"
    )
    parts = [f"## {name}", summary(record)]
    picture = output / "gallery" / f"{name}.png"
    if picture.is_file():
        parts.append(f"![Samples of {name}](gallery/{picture.name})")
    sound = picture.with_suffix(".ogg")
    if sound.is_file():
        parts.append(f"[A sample to listen to](gallery/{sound.name})")
    parts += [
        bounds_table(content),
        f"Data: {data_set(recipe, record).about}. Licence: "
        f"{data_set(recipe, record).licence}",
    ]
    return line, "\n\n".join(parts) + "\n"
