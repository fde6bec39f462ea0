import numpy as np
import pytest

from recipes.experiments.heard_digits import (
    BANDS,
    STRETCHES,
    classifier_of,
    digits_of,
    noise_like,
    sound_features,
    table,
    verdict,
)

RATE = 8000


def rising(start=300.0, seconds=0.5, seed=0):
    """A tone that rises by an octave, with a little noise."""
    generator = np.random.default_rng(seed)
    times = np.arange(int(seconds * RATE)) / RATE
    phase = 2 * np.pi * start * (times + times**2 / (2 * seconds))
    return 4000 * np.sin(phase) + generator.normal(0, 20, times.size)


def test_features_do_not_tell_loudness_nor_silence_around_a_sound():
    expected = sound_features(rising(), RATE)
    assert expected.shape == (STRETCHES * BANDS,)
    np.testing.assert_allclose(
        sound_features(0.3 * rising(), RATE), expected, atol=1e-3
    )
    silent = np.pad(rising(), (8 * 64, 16 * 64))
    found = sound_features(silent, RATE)
    assert np.corrcoef(found, expected)[0, 1] > 0.99


def test_features_tell_when_something_is_heard():
    loudest = sound_features(rising(), RATE).reshape(STRETCHES, BANDS).argmax(1)
    assert np.all(np.diff(loudest) >= 0) and loudest[-1] > loudest[0]


@pytest.mark.parametrize("count", [0, 1, 40])
def test_features_of_short_and_silent_sounds_are_finite(count):
    assert np.all(np.isfinite(sound_features(np.zeros(count), RATE)))


def test_noise_has_the_spectrum_of_the_sound():
    sound = rising().reshape(-1, 200)
    found = noise_like(sound, np.random.default_rng(0))
    assert found.shape == sound.shape
    spectra = [np.abs(np.fft.rfft(x.ravel()))[1:-1] for x in (sound, found)]
    np.testing.assert_allclose(spectra[1], spectra[0], rtol=1e-6, atol=1e-6)
    assert abs(np.corrcoef(sound.ravel(), found.ravel())[0, 1]) < 0.2


def test_the_classifier_tells_kinds_of_sounds_apart():
    pytest.importorskip("sklearn")
    starts = {0: 200.0, 3: 900.0, 10: 1700.0}

    def sounds(seeds):
        features = [
            sound_features(
                rising(start * (1 + 0.01 * (seed % 5)), seed=seed), RATE
            )
            for start in starts.values()
            for seed in seeds
        ]
        return np.array(features), np.repeat(list(starts), len(seeds))

    classifier = classifier_of(sounds(range(12)), sounds(range(12, 18)))
    assert classifier.score(*sounds(range(20, 30))) == 1.0


def test_a_verdict_counts_what_the_classifier_is_sure_of():
    probabilities = np.zeros((4, 11))
    probabilities[0, 7] = 1.0
    probabilities[1, 7], probabilities[1, 10] = 0.6, 0.4
    probabilities[2, 10] = 1.0
    probabilities[3, 2], probabilities[3, 0] = 0.95, 0.05
    found = verdict(probabilities, sure=0.9)
    assert found["count"] == 4 and found["sure"] == 0.5
    assert found["none"] == pytest.approx(0.35)
    assert found["digits"] == [0, 0, 1, 0, 0, 0, 0, 1, 0, 0]
    assert "| samples | 4 | 50.0% | 0.35 |" in table({"samples": found}, 0.9)


def test_digits_are_the_beginnings_of_names():
    names = ["7_ada_0.wav", "voices/3_bob_12.wav"]
    assert list(digits_of(names)) == [7, 3]
