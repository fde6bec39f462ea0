"""The settings of amortized variational filtering, from a command to scores."""

import json

import keras
import numpy as np
import pytest

import keras_fivo as kf
from recipes.benchmark.program import BenchmarkSettings
from recipes.benchmark.published import WORK, published_cell
from recipes.benchmark.runner import workloads
from recipes.benchmark.workload import Workload
from recipes.cli import main
from recipes.errors import RecipeError
from recipes.pianoroll import published
from recipes.registry import recipe_of
from recipes.settings.common import EvaluateSettings
from recipes.training.modelling import build_bound, build_cell
from recipes.training.run_folder import RunFolder
from recipes.training.trained import load_trained
from tests.recipes.cli_examples import fit, write_songs

REFINED = [
    "model=srnn",
    "networks=avf",
    "dropout=0.2",
    "proposal=iterative",
    "update=learned_sgd",
    "update_units=4",
    "emission_units=4,4",
    "objective=em",
    "bound=elbo",
    "analytic_kl=true",
    "kl_updates=2",
    "num_particles=1",
]
numpy = keras.ops.convert_to_numpy


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("refined")
    songs = write_songs(folder / "songs.npz", lengths=(5, 6, 4, 6))
    path = folder / "run"
    assert fit(songs, path, "updates=2", "batch_size=2", *REFINED) == 0
    assert main(["evaluate", str(path), "num_particles=2"]) == 0
    return path


def test_a_refined_proposal_is_trained_and_evaluated(run):
    row = RunFolder(run).read_log()[-1]
    assert {"inference_loss", "val_free_energy_1"} <= row.keys()
    content = json.loads((run / "evaluation-test.json").read_text())
    assert np.isfinite(content["free_energy_marino"])
    model = keras.saving.load_model(run / "best.keras")
    assert model.cell.proposal.objective == "em"
    assert model.cell.dropout == 0.2
    assert model.kl_weight.num_updates == 2
    assert model.evaluation_bound.analytic_kl


def test_the_published_protocol_leaves_the_first_step_out(run, monkeypatch):
    monkeypatch.setattr(published, "_SAMPLES", 2)
    settings = EvaluateSettings(run=str(run))
    trained = load_trained(settings)
    found = published.mean_free_energy(trained, settings)
    bound = build_bound("elbo", 2, trained.trained_with)
    assert bound.analytic_kl
    batch = trained.recipe.evaluation_batches(
        trained.sequences.split("test"), 2, 3
    )
    energies = []
    for index in range(len(batch)):
        data = batch[index]
        shape = data["mask"].T.shape
        noise = bound.draw(trained.model.cell, *shape, index)
        result = trained.model.filter(data, bound, noise)
        sums = numpy(result.log_weights)
        for row, length in enumerate(data["mask"].sum(1)):
            if length:
                terms = np.diff(sums[row, :length], axis=0)
                energies.append(-terms.mean(-1).sum() / length)
    assert len(energies) == 3
    np.testing.assert_allclose(found, np.mean(energies), 1e-5)


def test_settings_make_the_networks_of_the_paper():
    recipe = recipe_of("jsb")
    settings = recipe.fit_settings(
        "jsb",
        model="srnn",
        networks="avf",
        latent_dim=3,
        units=5,
        hidden_units=(6,),
        emission_units=(7, 8),
        proposal="iterative",
        update="learned_sgd",
        update_units=(9, 9),
        normalize_mean=True,
        gradient_scale=0.5,
        num_iterations=2,
    )
    cell = build_cell(settings, "bernoulli")
    cell.build((None, None, 88))
    assert [d.units for d in cell.emission.network.dense] == [7, 8, 88]
    assert [d.units for d in cell.transition.network.dense] == [6, 6]
    update = cell.proposal.update
    assert isinstance(update, kf.LearnedSGDUpdate) and update.normalize_mean
    assert update.network.units == [9, 9] and update.gradient_scale == 0.5
    assert cell.proposal.num_iterations == 2
    assert cell.activation is kf.clipped_leaky_relu
    assert cell.emission.activation is kf.clipped_leaky_relu
    log_variance = 2 * np.log(
        [cell.transition.min_scale, cell.transition.max_scale]
    )
    np.testing.assert_allclose(log_variance, [-15, 5])
    assert cell.learned_initial_state and cell.latent_encoding_dim == 3
    direct = build_cell(settings.changed(proposal="filtering"), "bernoulli")
    assert not direct.proposal.residual
    plain = build_cell(settings.changed(networks="fivo"), "bernoulli")
    assert plain.latent_encoding_dim == 5


def test_networks_of_the_paper_are_those_of_an_srnn():
    settings = recipe_of("jsb").fit_settings("jsb", networks="avf")
    with pytest.raises(RecipeError, match="model=vrnn"):
        build_cell(settings, "bernoulli")


@pytest.mark.parametrize("name", list(WORK))
def test_the_benchmark_has_cells_of_the_paper(name):
    settings = BenchmarkSettings(
        published=name, proposal="iterative", num_iterations=2, online=True
    )
    (work,) = workloads(settings.changed(bounds=("elbo",), **WORK[name]), "jax")
    assert work["batch"] == WORK[name]["batch"]
    cell = published_cell(Workload(**work))
    proposal = cell.proposal
    assert proposal.online and proposal.num_iterations == 2
    assert proposal.update.gradient_scale == 1 / work["batch"]
    assert proposal.update.hidden_units == [1024, 1024]
    sizes = {"srnn_rolls": (100, 300), "srnn_speech": (256, 1024)}
    sizes["vrnn_speech"] = (200, 2000)
    assert (cell.latent_dim, cell.units) == sizes[name]
