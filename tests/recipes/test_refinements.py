"""What refinements gain on a chain, against the exact filtering posterior."""

import json

import pytest

from recipes.experiments import refinements
from recipes.experiments.refinements import RefinementSettings


@pytest.mark.one_backend
def test_steps_near_the_exact_posterior_from_above(monkeypatch):
    monkeypatch.setattr(refinements, "RATES", (0.06,))
    settings = RefinementSettings(sequences=32, num_steps=5, particles=8)
    data = refinements.simulate(32, 1, settings)
    exact, _ = refinements.measure(
        refinements.model_of("exact_filtering", settings), data
    )
    found = [refinements.plain(k, data, settings) for k in (1, 4)]
    assert found[0]["rate"] == found[1]["rate"] == 0.06
    start, one, four = found[0]["start"], found[0]["plain"], found[1]["plain"]
    assert start > one[0] + one[1] > one[0] > four[0] + four[1]
    assert four[0] > exact[0]


@pytest.mark.slow
def test_a_network_at_one_refinement_beats_eight_plain_steps(
    monkeypatch, tmp_path
):
    monkeypatch.setattr(refinements, "ITERATIONS", (1, 8))
    path = tmp_path / "found.json"
    settings = RefinementSettings(updates=200, sequences=128, output=str(path))
    refinements.run(settings)
    content = json.loads(path.read_text())
    one, eight = content["rows"]
    exact, best = content["exact"][0], one["learned_sgd"]
    assert exact < best[0] < eight["plain"][0]
    assert exact < eight["highway"][0] < one["highway"][0] < one["plain"][0]
