"""The presets that come with the library, without a network."""

import json
import socket

import keras
import numpy as np
import pytest

import keras_fivo as kf
from keras_fivo.presets.sources import SHIPPED, digest
from tests.reference.examples import numpy

NAMES = sorted(kf.LatentSequenceModel.presets)
LARGEST = 8 * 2**20  # bytes, of all together


def test_there_are_presets_and_they_are_small():
    assert {"tiny-vrnn", "chain-filtering", "bach-vrnn", "jsb-vrnn"} <= set(
        NAMES
    )
    sizes = [path.stat().st_size for path in SHIPPED.rglob("*")]
    assert sum(sizes) <= LARGEST


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_preset_is_whole(name):
    folder = SHIPPED / name
    metadata = kf.LatentSequenceModel.presets[name]
    for file, known in metadata["sha256"].items():
        assert digest(folder / file) == known
    card = (folder / "README.md").read_text("utf-8")
    assert f"\n{metadata['description']}\n" in card
    assert "Trained with" in metadata["description"]
    content = json.loads((folder / "evaluation-test.json").read_text("utf-8"))
    for words in (f'from_preset("{name}")', "Licence: ", "## Limits", "Seed "):
        assert words in card
    for bound in ("elbo", "iwae", "fivo"):
        row = content["bounds"][bound]
        assert metadata["bounds"][bound] == row["bound_per_step"]
        assert f"| {row['bound_per_step']:.3f} | " in card
        assert f" | {row['kl_per_step']:.3f} |" in card
    # No path of the machine that trained it.
    for path in folder.glob("*.json"):
        text = path.read_text("utf-8")
        assert '"/' not in text and "=/" not in text


@pytest.mark.parametrize(
    ("name", "features", "expected"),
    [
        ("tiny-vrnn", 88, [-81.74613, -81.51858]),
        ("chain-smoothing", 1, [-4.790843, -4.817769]),
    ],
)
def test_a_shipped_preset_gives_the_same_everywhere(
    name, features, expected, monkeypatch
):
    def refused(*arguments):
        raise OSError("no network")

    monkeypatch.setattr(socket.socket, "connect", refused)
    model = kf.LatentSequenceModel.from_preset(name)
    assert isinstance(model, keras.Model)
    bound = kf.FIVO(4)
    generator = np.random.default_rng(3)
    draws = {"latent": generator.normal, "resampling": generator.uniform}
    noise = {
        key: draws[key](size=value.shape).astype("float32")
        for key, value in sorted(bound.draw(model.cell, 20, 2, seed=3).items())
    }
    silence = np.zeros((2, 20, features), "float32")
    found = model.filter(silence, bound, noise=noise).log_evidence
    np.testing.assert_allclose(numpy(found), expected, rtol=1e-4)
