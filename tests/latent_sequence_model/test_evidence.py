"""Evidence of single steps, anomalies, and lineages of particles."""

import numpy as np
import pytest

import keras_fivo as kf
from tests.latent_sequence_model.models import model
from tests.reference.examples import data, numpy, vrnn


@pytest.fixture(scope="module")
def made():
    return model(evaluation_bound=kf.FIVO(6, criterion="always"))


@pytest.mark.parametrize(
    "bound", [kf.IWAE(6), kf.FIVO(6), kf.FIVO(6, criterion="always")]
)
def test_increments_add_up_to_the_log_evidence(bound):
    found = data(controls=False, mask="entries")
    result = bound(vrnn(controls=False), **found, seed=0)
    steps = kf.evidence_increments(result)
    assert steps.shape == (3, 6)
    np.testing.assert_allclose(
        steps.sum(1), numpy(result.log_evidence), rtol=1e-5
    )
    assert np.all(steps[1, 3:] == 0)


def test_increments_of_one_particle_are_its_weights_and_go_on_from_a_state():
    cell, bound = vrnn(controls=False), kf.IWAE(3)
    x = data(controls=False, lengths=False)["observations"]
    noise = bound.draw(cell, 6, 3, seed=0)
    whole = kf.evidence_increments(bound(cell, x, noise=noise))
    first = bound(cell, x[:, :4], noise={"latent": noise["latent"][:, :4]})
    rest = {"latent": noise["latent"][:, 4:]}
    second = bound(cell, x[:, 4:], noise=rest, state=first.state)
    found = kf.evidence_increments(second, state=first.state)
    np.testing.assert_allclose(found, whole[:, 4:], rtol=1e-4, atol=1e-5)


def test_scores_are_nan_where_nothing_is_observed(made):
    found = data(controls=False, mask="entries")
    scores = made.anomaly_scores(found)
    seen = found["mask"].any(-1) & (np.arange(6) < found["lengths"][:, None])
    assert np.array_equal(np.isnan(scores), ~seen)


def test_a_twist_and_blends_are_refused():
    x = data(controls=False)["observations"]
    twisted = kf.FIVO(2)(vrnn(controls=False, twist="one_step"), x, seed=0)
    with pytest.raises(ValueError, match="Received: a result with log_twist"):
        kf.evidence_increments(twisted)
    blended = kf.FIVO(2, scheme="relaxed")(vrnn(controls=False), x, seed=0)
    with pytest.raises(ValueError, match="Received: ancestors of shape"):
        kf.lineage(blended)


def test_a_lineage_leads_back_through_all_ancestors(made):
    found = data(controls=False)
    result = made.filter(found)
    ancestors, lines = numpy(result.ancestors), kf.lineage(result)
    for b, length in enumerate(found["lengths"]):
        for k in range(6):
            now = k
            assert np.all(lines[b, length - 1 :, k] == k)
            for t in reversed(range(length - 1)):
                now = ancestors[b, t, now]
                assert lines[b, t, k] == now
    # Particles coalesce: there are fewer ancestors than descendants.
    assert len(np.unique(lines[0, 0])) < 6
    alone = kf.IWAE(4)(made.cell, found["observations"], seed=0)
    assert np.array_equal(kf.lineage(alone)[2, 3], np.arange(4))


def test_a_threshold_keeps_to_its_rate_of_false_alarms():
    random = np.random.default_rng(0)
    alarms = [
        random.normal() > kf.metrics.anomaly_threshold(random.normal(size=99))
        for _ in range(4000)
    ]
    # One of 100 exchangeable scores is the largest.
    assert abs(np.mean(alarms) - 0.01) < 5 * np.sqrt(0.01 / 4000)
    scores = np.array([[1.0, np.nan], [3.0, 2.0]])
    assert kf.metrics.anomaly_threshold(scores, 0.25) == 3.0
    assert kf.metrics.anomaly_threshold(scores, 0.5) == 2.0
    assert kf.metrics.anomaly_threshold(scores, 0.2) == np.inf
    with pytest.raises(ValueError, match="Received: rate=5"):
        kf.metrics.anomaly_threshold(scores, 5)
