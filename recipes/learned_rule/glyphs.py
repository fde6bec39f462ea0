"""Letters of the fonts that are installed, distorted, at two sizes."""

import pathlib
import zlib

import numpy as np

from recipes.errors import RecipeError

# Letters whose cases differ in shape.
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghijkmnqrtuy"
HELD_OUT_LETTERS = "BGKQRaehmy"
SIDES = (8, 14)
CANVAS = 28
BOX = 20


def font_files():
    """Returns font files of matplotlib and of the system, sorted by name."""
    from matplotlib import font_manager, get_data_path

    own = pathlib.Path(get_data_path(), "fonts", "ttf").glob("*.ttf")
    found = {*map(str, own), *font_manager.findSystemFonts()}
    paths = [pathlib.Path(p) for p in found]
    paths = [p for p in paths if p.suffix.lower() in (".ttf", ".otf")]
    by_name = {path.name: path for path in sorted(paths)}
    return [by_name[name] for name in sorted(by_name)]


def is_held_out(font_name):
    """Tells whether a font is kept for choices: an eighth of all families."""
    family = font_name.split("-")[0].split(".")[0].lower()
    return zlib.crc32(family.encode()) % 8 == 0


def draw_letter(font, letter):
    """Draws a letter to fit a square box, `(BOX * 2, BOX * 2)`; None: blank."""
    from PIL import Image, ImageDraw

    left, top, right, bottom = font.getbbox(letter)
    width, height = right - left, bottom - top
    if min(width, height) < 2 or max(width, height) > 400:
        return None
    image = Image.new("L", (width, height))
    ImageDraw.Draw(image).text((-left, -top), letter, fill=255, font=font)
    scale = 2 * BOX / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    fitted = Image.new("L", (2 * CANVAS, 2 * CANVAS))
    corner = ((2 * CANVAS - size[0]) // 2, (2 * CANVAS - size[1]) // 2)
    fitted.paste(image.resize(size, Image.Resampling.BILINEAR), corner)
    return fitted


def distort(image, coefficients):
    """Turns, shears, scales, stretches and shifts a letter.

    Args:
        image: A letter, as from `draw_letter`.
        coefficients: `(6,)`, each about -1 to 1: shift to the right and
            down, rotation, shear, size, stretch.
    """
    from PIL import Image

    right, down, turn, shear, size, stretch = coefficients
    angle = 0.25 * turn
    scale = np.exp(0.15 * size)
    wide = np.exp(0.15 * stretch)
    rotation = np.array(
        [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    )
    matrix = rotation @ np.array([[wide, 0.25 * shear], [0, 1 / wide]])
    matrix = matrix / scale * 2
    centre = np.array([CANVAS, CANVAS]) - matrix @ (
        np.array([CANVAS, CANVAS]) / 2 + 1.5 * np.array([right, down])
    )
    affine = (*matrix[0], centre[0], *matrix[1], centre[1])
    return np.asarray(
        image.transform(
            (CANVAS, CANVAS),
            Image.Transform.AFFINE,
            affine,
            Image.Resampling.BILINEAR,
        )
    )


def at_side(images, side):
    """Shrinks images `(n, 28, 28)` to 14 x 14 or 8 x 8, as two data sets do.

    Every second pixel, as MNIST is here; or means of blocks of the middle,
    as the digits of scikit-learn.
    """
    if side == 14:
        return images[:, ::2, ::2]
    middle = images[:, 2:26, 2:26].reshape(len(images), 8, 3, 8, 3)
    return middle.mean((2, 4)).astype("uint8")


def render(num_distortions=2, seed=0, letters=LETTERS):
    """Renders letters of all fonts.

    Returns:
        dict of arrays with a row for each image: `images_8`, `images_14`
        uint8, `coefficients`, `letter`, `font` and `held_out_font`.
    """
    from PIL import ImageFont

    rows, images, kept = [], [], 0
    files = font_files()
    for number, path in enumerate(files):
        rng = np.random.default_rng([seed, zlib.crc32(path.name.encode())])
        try:
            font = ImageFont.truetype(str(path), 48)
            drawn = [draw_letter(font, letter) for letter in letters]
        except (OSError, ValueError):
            continue
        if any(x is None for x in drawn):
            continue
        kept += 1
        for index, image in enumerate(drawn):
            for _ in range(num_distortions):
                coefficients = np.clip(rng.normal(0, 0.5, 6), -1, 1)
                images.append(distort(image, coefficients))
                rows.append(
                    (index, number, is_held_out(path.name), *coefficients)
                )
    if kept < 8:
        raise RecipeError(
            "Meta-training needs letters of at least 8 fonts. "
            f"Received: {kept} fonts with all letters, of {len(files)} files. "
            "Install packages of fonts: .ttf and .otf files are read."
        )
    table = np.array(rows, "float32")
    pixels = np.stack(images)
    return {
        **{f"images_{side}": at_side(pixels, side) for side in SIDES},
        "letter": table[:, 0].astype("int32"),
        "font": table[:, 1].astype("int32"),
        "held_out_font": table[:, 2] > 0,
        "coefficients": table[:, 3:],
    }


def like_letters(data):
    """Tells which images are of fonts that look like the rest.

    Pictograms and the like have nothing to do with the letter that stands for
    them. A font stays if its letters agree with their mean over all fonts.
    """
    flat = data["images_8"].reshape(len(data["font"]), -1).astype("float32")
    flat = flat - flat.mean(1, keepdims=True)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True) + 1e-6
    count = data["letter"].max() + 1
    means = np.stack([flat[data["letter"] == k].mean(0) for k in range(count)])
    means -= means.mean(0)
    agreement = np.sum(flat * means[data["letter"]], -1)
    fonts = np.unique(data["font"])
    total = np.bincount(data["font"], agreement, fonts.max() + 1)
    by_font = total / np.maximum(np.bincount(data["font"]), 1)
    good = fonts[by_font[fonts] > np.quantile(by_font[fonts], 0.2)]
    return np.isin(data["font"], good)
