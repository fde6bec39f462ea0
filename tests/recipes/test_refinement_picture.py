"""What refinements gain, as a picture and as numbers."""

import numpy as np
import pytest

from recipes.errors import RecipeError
from recipes.experiments import refinement_picture
from recipes.experiments.refinement_picture import PictureSettings
from tests.recipes.cli_examples import fit, write_songs


def test_means_are_sums_over_sums_of_what_counts():
    energies = np.zeros((2, 3, 2))
    energies[0], energies[1, :1] = [2.0, 1.0], [6.0, 3.0]
    active = np.array([[True] * 3, [True, False, False]])
    means, errors = refinement_picture.averages(energies, active)
    np.testing.assert_allclose(means, [3.0, 1.5])
    # Residuals of 6 - 9 and 6 - 3, by 2 steps, over the root of 2.
    np.testing.assert_allclose(errors, [1.5 / 2**0.5, 0.75 / 2**0.5])


def test_a_picture_of_a_chain_is_drawn(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    path = tmp_path / "picture.png"
    settings = PictureSettings(
        num_iterations=2,
        num_steps=3,
        sequences=4,
        updates=2,
        particles=2,
        output=str(path),
    )
    refinement_picture.run(settings)
    assert path.stat().st_size > 5_000
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == [
        f"after {k} refinements" for k in range(3)
    ]


def test_a_run_without_refinements_is_refused(tmp_path):
    songs = write_songs(tmp_path / "songs.npz", lengths=(3, 4))
    assert fit(songs, tmp_path / "run", "updates=1", "bound=elbo") == 0
    with pytest.raises(RecipeError, match="not iterative"):
        refinement_picture.run(PictureSettings(run=str(tmp_path / "run")))
