"""Forecasts of tables: exact against the library, and from the shell."""

import csv
import dataclasses
import json
import shlex

import numpy as np
import pytest
from keras import ops

from keras_fivo import linear_gaussian
from keras_fivo.structural import (
    NAMES,
    SEEN,
    StructuralForecaster,
    Transformation,
    chain,
    filter_rows,
    forecast_moments,
    make_transformation,
    prior_means,
)
from recipes.cli import main
from recipes.errors import RecipeError
from recipes.table import backtest, baselines, verbs
from recipes.table.config import BacktestSettings, FitSettings
from recipes.table.ensemble import (
    build_forecaster,
    fit_forecaster,
    log_weights,
)
from recipes.table.forecasting import LEVELS, NUM_VALUES, forecast
from recipes.table.panel import Panel, Series
from recipes.table.periods import Frequency
from recipes.table.search import CHOICES
from recipes.table.verbs import uncompiled
from recipes.training.model_file import load_model

ROWS, STEPS, COEFFICIENTS, HORIZON = 2, 20, 3, 4


def example(seed=0):
    """Parameters and inputs of rows; the last steps are the future."""
    generator = np.random.default_rng(seed)
    raw = prior_means() + 0.5 * generator.normal(size=(ROWS, len(NAMES)))
    options = {
        "damped": np.array([1.0, 0.0], "float32"),
        "stationary": np.array([0.0, 1.0], "float32"),
        "frequency": np.array([0.0, 0.7], "float32"),
        "slope_variance": np.full(ROWS, 0.04, "float32"),
    }
    observed = generator.random((ROWS, STEPS)) < 0.8
    observed[:, -HORIZON:] = False
    shape = (ROWS, STEPS, COEFFICIENTS)
    inputs = {
        "observations": generator.normal(size=(ROWS, STEPS)),
        "observed": observed,
        "design": generator.normal(size=shape),
        "coefficient_variances": np.array([[1.0, 0.5, 2.0]] * ROWS),
        "walks": np.array([1.0, 1.0, 0.0]),
    }
    inputs = {name: np.asarray(x, "float32") for name, x in inputs.items()}
    return chain(ops.convert_to_tensor(raw.astype("float32")), options), inputs


def as_linear_gaussian(parameters, inputs, row):
    """The same model, in the library's words."""
    found = {k: ops.convert_to_numpy(v)[row] for k, v in parameters.items()}
    size = 4 + COEFFICIENTS
    matrix, covariance = np.eye(size), np.zeros((size, size))
    matrix[:4, :4] = found["transition"]
    walk = found["season"] * inputs["walks"]
    # The library's must be positive definite.
    noise = np.concatenate([found["variances"], walk]) + 1e-9
    first = [found["initial"], inputs["coefficient_variances"][row]]
    seen = np.tile(SEEN, (STEPS, 1))
    emission = np.concatenate([seen, inputs["design"][row]], axis=1)
    return linear_gaussian.LinearGaussian(
        initial_mean=np.zeros(size),
        initial_covariance=np.diag(np.concatenate(first) + 1e-9),
        transition_matrix=matrix,
        transition_covariance=covariance + np.diag(noise),
        emission_matrix=emission[:, None],
        emission_covariance=found["observation"] * np.ones((1, 1)),
    )


def test_rows_are_filtered_as_the_library_does():
    parameters, inputs = example()
    increments, states = filter_rows(parameters, inputs, keep_states=True)
    plain = filter_rows(parameters, inputs)
    np.testing.assert_allclose(plain, increments, rtol=1e-5, atol=1e-6)
    for row in range(ROWS):
        exact = linear_gaussian.kalman_filter(
            as_linear_gaussian(parameters, inputs, row),
            inputs["observations"][row][None, :, None],
            inputs["observed"][row][None] > 0,
        )
        close = {"rtol": 2e-3, "atol": 2e-4}
        np.testing.assert_allclose(
            increments[row], exact.log_evidence_increments[0], **close
        )
        np.testing.assert_allclose(states["mean"][row], exact.means[0], **close)
        np.testing.assert_allclose(
            states["covariance"][row], exact.covariances[0], **close
        )


def test_forecasts_are_those_of_the_library():
    parameters, inputs = example(1)
    _, states = filter_rows(parameters, inputs, keep_states=True)
    at = STEPS - HORIZON - 1
    means, variances = forecast_moments(
        {k: ops.convert_to_numpy(v) for k, v in parameters.items()},
        {k: ops.convert_to_numpy(v)[:, [at]] for k, v in states.items()},
        inputs["design"][:, None, -HORIZON:],
        inputs["walks"],
        inputs["coefficient_variances"],
    )
    for row in range(ROWS):
        past = slice(0, STEPS - HORIZON)
        exact = linear_gaussian.forecast(
            as_linear_gaussian(parameters, inputs, row),
            inputs["observations"][row, past][None, :, None],
            HORIZON,
            inputs["observed"][row, past][None] > 0,
            lengths=np.array([STEPS - HORIZON]),
        )
        np.testing.assert_allclose(
            means[row, 0], exact.means[0, :, 0], rtol=2e-3, atol=2e-4
        )
        np.testing.assert_allclose(
            variances[row, 0], exact.covariances[0, :, 0, 0], rtol=2e-3
        )


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_transformations_come_back_and_count_their_jacobian(power):
    generator = np.random.default_rng(0)
    values = 50 + 10 * generator.random(40)
    values[3] = np.nan
    made = make_transformation(values, power, 12)
    standard = made.forward(values)
    np.testing.assert_allclose(made.backward(standard), values, rtol=1e-12)
    change = made.forward(values + 1e-4) - made.forward(values - 1e-4)
    expected = np.nansum(np.log(change / 2e-4))
    assert made.log_jacobian(values) == pytest.approx(expected, rel=1e-5)
    stored = Transformation.from_numbers(made.numbers())
    np.testing.assert_allclose(stored.forward(values), standard, atol=1e-5)


def small_panel():
    """Two series of unequal lengths with a season of 4, and a gap."""
    generator = np.random.default_rng(0)
    series = []
    for number, length in enumerate((44, 36)):
        time = np.arange(length)
        values = 100 + 5 * np.sin(np.pi * time / 2) + 0.5 * time
        values = values + generator.normal(size=length)
        values[10 : 10 + 2 * number] = np.nan
        ahead = generator.normal(size=(length + 8, 1))
        series.append(Series(f"series {number}", number, values, ahead))
    return Panel(tuple(series), Frequency("step"), (4.0,), ("known",))


def small_settings(**given):
    usual = {"powers": (1.0, 0.0), "cycles": (), "updates": 8}
    return FitSettings(data="table", batch_size=8, **{**usual, **given})


def fitted(panel, **given):
    settings = small_settings(**given)
    ends = [len(one.values) for one in panel.series]
    model = build_forecaster(panel, ends, settings)
    before = model.get_weights()[0].copy()
    evidence = fit_forecaster(model, panel, ends, settings)
    assert np.all(model.get_weights()[0][:, 0] != before[:, 0])
    return model, evidence


@pytest.fixture(scope="module")
def both():
    return fitted(small_panel())


def test_a_model_forecasts_the_same_after_saving(both, tmp_path):
    panel, (model, evidence) = small_panel(), both
    assert model.num_rows == 12 and np.all(np.isfinite(evidence))
    origins = [[30, 44], [30, 36]]
    values = forecast(model, panel, origins, 4)
    assert [one.shape for one in values] == [(2, NUM_VALUES, 4)] * 2
    assert all(np.all(np.diff(one, axis=1) >= 0) for one in values)
    uncompiled(model).save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras", StructuralForecaster)
    for one, again in zip(
        values, forecast(loaded, panel, origins, 4), strict=True
    ):
        np.testing.assert_allclose(one, again, rtol=1e-6)


def test_a_series_is_forecast_as_if_it_were_alone(both):
    panel, (model, _) = small_panel(), both
    second = dataclasses.replace(panel, series=panel.series[1:])
    alone = build_forecaster(second, [36], small_settings())
    own = [weight[6:] for weight in model.get_weights()]
    own[1][:, 0] = 0  # the number of its series
    alone.set_weights(own)
    np.testing.assert_allclose(
        forecast(model, panel, [[44], [36]], 4)[1],
        forecast(alone, second, [[36]], 4)[0],
        rtol=1e-4,
    )


def test_the_future_does_not_move_a_forecast(both):
    panel, (model, _) = small_panel(), both
    values = forecast(model, panel, [[30, 40], [30, 36]], 4)
    for one in panel.series:
        one.values[30:] += 50.0
    changed = forecast(model, panel, [[30, 40], [30, 36]], 4)
    np.testing.assert_allclose(values[0][0], changed[0][0], rtol=1e-6)
    assert np.abs(values[0][1] - changed[0][1]).max() > 1


def test_weights_of_members_are_tempered_within_a_series():
    found = log_weights(np.array([0.0, 3.0, np.nan, 5.0]), [0, 0, 0, 1], 3.0)
    np.testing.assert_allclose(
        np.exp(found), [1 / (1 + np.e), np.e / (1 + np.e), 0, 1], atol=1e-12
    )


def test_a_backtest_sees_nothing_of_what_it_forecasts():
    panel = small_panel()
    given = dict(small_settings()) | {"horizon": 3, "origins": 4}
    settings = BacktestSettings(**given)
    plan = backtest.make_plan(panel, settings)
    assert plan.origins == [[38, 39, 40, 41], [30, 31, 32, 33]]
    inner = backtest.make_plan(panel, settings, inner=True)
    assert [max(own) + 3 for own in inner.origins] == [38, 30]
    found = backtest.run_plan(
        plan, settings.changed(baselines=("seasonal_naive",)), str
    )
    text, means = backtest.describe(plan, found)
    assert 0 < means["structural"]["crps"] < 1 and "series 1" in text
    assert sum(backtest.winners(found).values()) == 2


def test_a_series_that_no_power_transforms_is_refused():
    panel = small_panel()
    panel.series[1].values[:3] = -1.0
    with pytest.raises(RecipeError, match="'series 1' with -1"):
        build_forecaster(panel, [44, 36], small_settings(powers=(0.0, 0.5)))


def test_scores_are_those_of_the_definition():
    panel = small_panel()
    plan = backtest.Plan(panel, [[40], [33]], 3, [])
    values = baselines.seasonal_naive(panel.series[0].values[:40], 4, 3)
    row = backtest.score(plan, [values[None], values[None]])[0]
    truth = panel.series[0].values[40:43]
    past = panel.series[0].values[:40]
    gaps = np.abs(values[:, None] - values[None]).mean((0, 1))
    crps = np.abs(values - truth).mean(0) - gaps / 2
    scale = np.abs(past[4:] - past[:-4]).mean()
    assert row["crps"] == pytest.approx(crps.mean() / scale, rel=1e-6)
    assert row["raw_crps"] == pytest.approx(crps.mean(), rel=1e-6)


def test_baselines_give_quantiles():
    past = np.tile([3.0, 5.0, 2.0, 8.0], 12)
    past[7] = np.nan
    middle = np.searchsorted(LEVELS, 0.5)
    naive = baselines.seasonal_naive(past, 4, 6)
    np.testing.assert_allclose(naive[middle], [3, 5, 2, 8, 3, 5], atol=1e-6)
    rates = baselines.poisson_regression(past, 4, 4)
    np.testing.assert_allclose(rates[middle], [3, 5, 2, 8], atol=0.01)
    with pytest.raises(ValueError, match="counts"):
        baselines.poisson_regression(past - 5, 4, 4)
    assert baselines.empirical(past, 4, 2)[:, 1].max() == 8


def write_sales(path, level=50):
    with open(path, "w") as file:
        file.write("month,shop,sales\n")
        for shop in ("north", "south"):
            for i in range(40):
                month = f"{2000 + i // 12}-{i % 12 + 1:02d}"
                file.write(f"{month},{shop},{level + i + 9 * (i % 12 == 0)}\n")


def test_one_command_goes_from_a_file_to_a_forecast(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    path, run = tmp_path / "sales.CSV", tmp_path / "runs/sales-structural"
    write_sales(path)
    words = ["forecast", str(path), "updates=4", "powers=1"]
    words += ["cycles=", "horizon=3", "pictures=1"]
    run.mkdir(parents=True)
    (run / "backtest.json").write_text("{}")  # of a back-test before
    # What is killed while it fits is fitted by the same command.
    with monkeypatch.context() as patch:
        patch.setattr(verbs, "fit_forecaster", killed)
        assert main(words) == 130
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "2 series of 40 to 40 steps of a month" in printed
    with open(run / "forecast.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 and rows[0]["time"] == "2003-05"
    assert float(rows[0]["q0.1"]) < float(rows[0]["q0.9"])
    # Again, it finds what is there.
    assert main(words) == 0
    assert "is fitted" in capsys.readouterr().out
    # A file of the same name would take the place of this one's forecast.
    before = (run / "forecast.csv").read_bytes()
    (tmp_path / "other").mkdir()
    write_sales(tmp_path / "other" / "sales.csv", level=90)
    assert main([words[0], "other/sales.csv", *words[2:]]) == 2
    assert "forecast of another file" in capsys.readouterr().err
    assert (run / "forecast.csv").read_bytes() == before
    assert main(["evaluate", str(run)]) == 2
    assert "have no bounds" in capsys.readouterr().err


def killed(*arguments):
    raise KeyboardInterrupt


def test_a_search_tells_the_whole_command_of_its_test(tmp_path, capsys):
    path, run = tmp_path / "my sales.csv", tmp_path / "run"
    months = [f"{2000 + i // 12}-{i % 12 + 1:02d}" for i in range(20)]
    rows = [f"{month},{i % 5},{i % 3}\n" for i, month in enumerate(months)]
    path.write_text("month,a,b\n" + "".join(rows))
    words = ["tune", str(path), "trials=1", f"run={run}", "search=temperature"]
    given = ["target=b", "known=a", "updates=1", "horizon=2", "origins=1"]
    given += ["season=1.0", "powers=1.0", "cycles="]
    assert main([*words, *given]) == 0
    told = shlex.split(capsys.readouterr().out.partition("Test it:")[2])
    told = told[told.index("backtest") + 1 :]
    assert told[0] == "table"
    told = {word for word in told[1:] if not word.startswith("temperature")}
    assert told == {f"data_path={path}", *given}


def test_a_search_leaves_out_what_cannot_be(tmp_path, monkeypatch, capsys):
    path, run = tmp_path / "heights.csv", tmp_path / "run"
    months = [f"{2000 + i // 12}-{i % 12 + 1:02d}" for i in range(20)]
    rows = [f"{month},{i % 3 - 1}\n" for i, month in enumerate(months)]
    path.write_text("month,height\n" + "".join(rows))
    monkeypatch.setitem(CHOICES, "powers", ((0.0,),))
    words = ["tune", str(path), "trials=1", f"run={run}", "search=powers"]
    words += ["updates=1", "horizon=2", "origins=1", "cycles="]
    assert main(words) == 0
    assert "left out: A power of 0 needs" in capsys.readouterr().out
    assert len(json.loads((run / "trials.json").read_text())) == 1


def test_nothing_is_written_for_what_cannot_be_forecast(tmp_path, capsys):
    path, run = tmp_path / "sales.csv", tmp_path / "run"
    path.write_text("month,sales\n2020-01,many\n2020-02,few\n")
    assert main(["forecast", str(path), f"run={run}"]) == 2
    assert "No column of numbers" in capsys.readouterr().err
    assert main(["backtest", "bach"]) == 2
    assert "see `evaluate`" in capsys.readouterr().err
    assert main(["forecast", f"run={run}"]) == 2
    assert "Name the file" in capsys.readouterr().err
    assert main(["forecast", str(tmp_path / "sales.xlsx")]) == 2
    assert "must be a file" in capsys.readouterr().err
    assert not run.exists()
    write_sales(path)
    words = ["backtest", str(path), "baselines=", f"run={run}"]
    assert main([*words, f"output={path}"]) == 2
    assert "a back-test to write anew" in capsys.readouterr().err
    # Told before anything is fitted.
    assert main(["forecast", str(path), f"run={path}/run"]) == 2
    assert "Not a directory. Choose another" in capsys.readouterr().err
