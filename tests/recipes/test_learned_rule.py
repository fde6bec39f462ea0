"""Tasks of meta-training."""

import json

import keras
import numpy as np
import pytest

import keras_fivo as kf
from recipes import storage
from recipes.errors import FileError, RecipeError
from recipes.learned_rule import (
    evaluate,
    glyphs,
    meta_train,
    methods,
    search,
    sources,
    speed,
    tasks,
    transfer,
)
from recipes.learned_rule.__main__ import PROGRAMS
from recipes.learned_rule.config import EvaluateSettings, RuleSettings
from recipes.settings.program import run_one_of

GROUPS = [kf.TaskGroup(64, (5,), 2), kf.TaskGroup(196, (4,), 1)]


def letters(count=400, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "images_8": rng.integers(0, 256, (count, 8, 8), "uint8"),
        "images_14": rng.integers(0, 256, (count, 14, 14), "uint8"),
        "letter": np.arange(count) % len(glyphs.LETTERS),
        "coefficients": rng.normal(size=(count, 6)).astype("float32"),
        "held_out_font": np.arange(count) % 8 == 0,
    }


def stream(**changes):
    kinds = [(tasks.Glyphs(letters()), 0.5), (tasks.Clusters(), 0.5)]
    settings = {"unrolls": (2, 3), "horizons": (1, 3), "batch_size": 4}
    return tasks.TaskStream(GROUPS, kinds, 6, **settings | changes)


def test_a_batch_is_a_function_of_the_seed_and_its_number():
    whole, later = stream(), stream(start=4)
    whole[5], whole[0]
    for a, b in zip(
        keras.tree.flatten(whole[4]), keras.tree.flatten(later[0]), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    (batch,) = stream(seed=1)[4]
    assert np.any(batch[0]["support"] != whole[4][0][0]["support"])


def test_a_batch_has_the_shapes_that_meta_training_reads():
    (batches,) = stream()[0]
    for group, batch in zip(GROUPS, batches, strict=True):
        unroll, tasks_, size, dim = batch["inputs"].shape
        assert unroll in (2, 3)
        assert (tasks_, size, dim) == (group.num_tasks, 4, group.input_dim)
        examples = tasks.WAYS * tasks.SHOTS
        for side in ("support", "query"):
            assert batch[side].shape == (tasks_, examples, dim)
            shape = (tasks_, examples, tasks.TARGETS)
            assert batch[f"{side}_targets"].shape == shape
        assert batch["restart"].all()


def test_base_models_start_anew_when_their_horizon_is_over():
    restarts = [stream()[i][0][0]["restart"][0] for i in range(30)]
    gaps = np.diff(np.flatnonzero(restarts))
    assert set(gaps) == {1, 2, 3}


def test_a_life_keeps_the_shape_that_was_drawn_for_it():
    groups = [kf.TaskGroup(64, ((5,), (4, 3), (2,)), 2)]
    kinds = [(tasks.Clusters(), 1.0)]

    def drawn(start):
        stream = tasks.TaskStream(
            groups, kinds, 40, (1,), (1, 3), batch_size=2, start=start
        )
        batches = [stream[i][0][0] for i in range(40 - start)]
        return np.array([[b["restart"], b["shape"]] for b in batches])

    found = drawn(0)
    np.testing.assert_array_equal(found[30:], drawn(30))
    restarts, shapes = found[:, 0], found[:, 1]
    changes = np.diff(shapes, axis=0) != 0
    assert not np.any(changes & (restarts[1:] == 0))
    for task in range(2):
        assert set(shapes[:, task]) == {0, 1, 2}
    assert np.any(shapes[:, 0] != shapes[:, 1])


def test_choices_see_no_letter_and_no_font_of_meta_training():
    data = letters()
    train, choice = tasks.split(data)
    assert train.any() and choice.any()
    assert not set(data["letter"][train]) & set(data["letter"][choice])
    assert not data["held_out_font"][train].any()
    assert data["held_out_font"][choice].all()


def test_a_letter_that_is_not_distorted_fills_its_box():
    font = pytest.importorskip("PIL.ImageFont")
    pytest.importorskip("matplotlib")
    path = next(p for p in glyphs.font_files() if p.name == "DejaVuSans.ttf")
    drawn = glyphs.draw_letter(font.truetype(str(path), 48), "H")
    image = glyphs.distort(drawn, np.zeros(6))
    assert image.shape == (glyphs.CANVAS, glyphs.CANVAS)
    rows = np.flatnonzero(image.max(1) > 128)
    assert abs(rows[-1] - rows[0] + 1 - glyphs.BOX) <= 2
    assert abs(rows.mean() - (glyphs.CANVAS - 1) / 2) <= 1


def test_trials_are_scored_as_the_library_does():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 5)).astype("float32")
    y = np.arange(60) % 4
    found = evaluate.accuracies(x, y, 3, 2, trials=6, penalty=0.3)
    expected = kf.evaluate_few_shot(
        lambda v: v, x, y, 3, 2, 6, kf.RidgeProbe(0.3), seed=1
    )
    np.testing.assert_allclose(found, expected.trials)


def test_principal_components_are_the_widest_directions():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 3)) * [1.0, 5.0, 2.0]
    found = methods.principal_components(x, x, units=(9, 2))
    centred = x - x.mean(0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(
        np.abs(found), np.abs(centred @ directions[:2].T), atol=1e-4
    )
    every = methods.principal_components(x, x, units=(8,))
    assert every.shape == (50, 3)


def test_every_image_comes_once_before_any_comes_again():
    x = np.arange(150, dtype="float32")[:, None]
    batches = methods.Batches(x, 4, seed=0)
    rows = np.concatenate([batches[i][0] for i in range(len(batches))])
    assert sorted(rows[:150].ravel()) == sorted(x.ravel())
    later = methods.Batches(x, 4, seed=0, start=3)
    assert len(later) == 1
    np.testing.assert_array_equal(later[0][0], batches[3][0])


def test_the_table_has_a_row_for_each_method():
    images = np.eye(10, dtype="float32")[np.arange(300) % 10]
    letters = images, images, np.arange(300) % 10
    row = evaluate.score(
        "raw pixels", letters, letters, {"units": (9,)}, [0], 4
    )
    assert [cell["accuracy"] for cell in row["cells"]] == [(1.0, 0.0)] * 6
    lines = evaluate.table([row | {"method": "raw pixels"}]).splitlines()
    assert lines[-1].startswith("| raw pixels | 1.000 ± 0.000 |")


def test_the_letters_of_choices_can_be_scored(monkeypatch, capsys):
    data = letters(4 * 8 * 30)
    data["letter"] = np.arange(960) // 8 % 43
    raw = {"raw pixels": methods.raw_pixels}
    monkeypatch.setattr(sources, "load_glyphs", lambda _: data)
    monkeypatch.setattr(evaluate, "CELLS", ((5, 1),))
    monkeypatch.setattr(evaluate, "METHODS", raw)
    evaluate.run_evaluate(EvaluateSettings(held_out="letters", trials=4))
    out = capsys.readouterr().out
    images, _, labels = sources.choice_set(data, 8)
    penalty, _ = evaluate.best_penalty(methods.flat(images), labels, 5, 1)
    expected = evaluate.accuracies(
        methods.flat(images), labels, 5, 1, 4, penalty
    )
    assert out.startswith("letters\n")
    assert f"| raw pixels | {expected.mean():.3f} ±" in out


def test_held_out_images_that_are_missing_are_told():
    with pytest.raises(RecipeError, match="mnist=FILE"):
        sources.mnist(None)
    with pytest.raises(OSError, match="nowhere"):
        sources.mnist("nowhere")


def test_a_file_that_is_not_of_mnist_is_told(tmp_path):
    np.savez(tmp_path / "other.npz", x_train=np.zeros((2, 28, 28)))
    with pytest.raises(FileError, match="x_train, x_test and y_test"):
        sources.mnist(tmp_path / "other.npz")


def test_a_search_keeps_what_lowers_the_objective():
    def objective(merge):
        tried.append(merge)
        return np.sum((merge - target) ** 2)

    tried, target = [], np.arange(12.0)
    objective.names = meta_train.new_rule().kernel_change.term_names
    found = list(search.search(objective, 300, seed=2))
    numbers, losses, merges = zip(*found, strict=True)
    assert numbers[0] == 0 and merges[0]["hebb"] == 25.0
    assert merges[0]["rbf"] == 1.0
    assert list(losses) == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] / 2
    assert losses[-1] == min(np.sum((t - target) ** 2) for t in tried)
    assert list(merges[-1].values()) == tried[numbers[-1]].tolist()
    again = list(search.search(objective, 300, seed=2))
    assert again == found


@pytest.mark.one_backend
def test_a_search_tries_weights_on_the_same_base_models():
    objective = search.Objective(letters(), 1, num_tasks=1, num_updates=2)
    losses = [objective(meta_train.MERGE)]
    losses.append(objective(np.full(12, 0.1)))
    losses.append(objective(meta_train.MERGE))
    assert losses[0] == losses[2] != losses[1]
    assert np.isfinite(losses).all()


def test_meta_training_begins_with_what_a_search_wrote(tmp_path):
    merge = dict.fromkeys(meta_train.MERGE, 2.5) | {"hebb": 7}
    storage.write_json(tmp_path / "merge.json", merge)
    change = meta_train.new_rule(tmp_path / "merge.json").kernel_change
    found = keras.ops.convert_to_numpy(change.coefficients)
    expected = [merge[name] for name in change.term_names]
    np.testing.assert_array_equal(found, expected)
    (tmp_path / "merge.json").write_text('{"hebb": 3}')
    with pytest.raises(FileError, match="Received: path="):
        meta_train.new_rule(tmp_path / "merge.json")


@pytest.mark.slow
def test_a_training_that_was_killed_goes_on_without_loss(tmp_path, monkeypatch):
    monkeypatch.setattr(meta_train, "load_glyphs", lambda _: letters())

    def train(run, updates):
        meta_train.train(
            tmp_path / run,
            minutes=9,
            num_updates=2,
            updates=updates,
            shapes=((64, (3,), 1),),
        )
        with np.load(tmp_path / run / f"rule_{updates:06d}.npz") as file:
            return [file[name] for name in file.files]

    seen, item = [], tasks.TaskStream.__getitem__

    def get(stream, index):
        seen.append(stream.start + index)
        return item(stream, index)

    monkeypatch.setattr(tasks.TaskStream, "__getitem__", get)
    whole, first = train("whole", 6), train("killed", 4)
    # Lives follow each other, whatever Keras does with epochs.
    assert list(dict.fromkeys(seen)) == [0, 1, 2, 3, 4, 5]
    # Killed while it wrote the next one.
    (tmp_path / "killed" / "beside.keras").write_bytes(b"half")
    last = train("killed", 6)
    for a, b in zip(last, whole, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(np.any(a != b) for a, b in zip(first, last, strict=True))
    log = (tmp_path / "killed" / "log.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in log]
    assert [row["updates"] for row in rows] == [2, 4, 6]
    seconds = [row["cpu_seconds"] for row in rows]
    assert seconds == sorted(seconds)


def test_a_rule_of_several_files_is_their_mean(tmp_path):
    rule = meta_train.new_rule()
    first = rule.get_weights()
    np.savez(tmp_path / "rule_000003.npz", *first)
    np.savez(tmp_path / "rule_000050.npz", *[x + 2.0 for x in first])
    settings = RuleSettings(run=str(tmp_path), average="3,50")
    found = sources.load_rule(settings)
    for mean, value in zip(found.get_weights(), first, strict=True):
        np.testing.assert_allclose(mean, value + 1.0, rtol=1e-6)
    with pytest.raises(OSError, match="rule_000004"):
        sources.load_rule(settings.changed(average="3,4"))


@pytest.mark.one_backend
def test_transfer_compares_a_rule_with_what_it_began_with():
    rng = np.random.default_rng(0)
    labels = np.arange(240) % 10
    images = rng.uniform(0, 0.3, (240, 3, 4)).astype("float32")
    images += np.eye(12, dtype="float32")[labels].reshape(-1, 3, 4)
    rule = kf.LearnedRuleModel.from_preset("learned-rule-slim").rule
    given = images, images, labels
    case = transfer.Case((6, 5), activation="tanh")
    found = transfer.compare(rule, given, given, case, (0, 1), 4, (1, 3))
    # The same, step by step.
    features = []
    for seed in (0, 1):
        model = kf.LearnedRuleModel(rule, (6, 5), "tanh", seed)
        model.build(images.shape)
        batches = methods.Batches(methods.flat(images), 3, seed)
        updates = found["updates"]
        for i in range(updates):
            model.fit(batches[i][0], batch_size=64, shuffle=False, verbose=0)
        features.append(model.predict(images))
    penalty, _ = evaluate.best_penalty(features[0], labels, 5, 10)
    expected = np.mean(
        [
            evaluate.accuracies(f, labels, 5, 10, 4, penalty).mean()
            for f in features
        ]
    )
    assert updates in (1, 3)
    assert found["rule"][0] == pytest.approx(expected, abs=0.02)
    gain = found["rule"][0] - found["random"][0]
    assert found["gain"][0] == pytest.approx(gain, abs=2e-4)
    assert transfer.line(found).startswith(
        f"| 2 layers of 6, tanh | {updates} "
    )


def test_permuted_inputs_reach_the_base_model_in_another_order():
    rng = np.random.default_rng(0)
    images = rng.uniform(size=(30, 3, 3)).astype("float32")
    rule = kf.LearnedRuleModel.from_preset("learned-rule-slim").rule

    def features(permuted):
        case = transfer.Case((4,), permuted)
        return transfer.course(rule, images, images, case, (), 5)[0]

    order = np.random.default_rng(5).permutation(9)
    model = kf.LearnedRuleModel(rule, (4,), seed=5)
    expected = model.predict(images.reshape(30, 9)[:, order])
    np.testing.assert_allclose(features(True), expected, atol=1e-6)
    assert np.abs(features(False) - expected).max() > 1e-3


def test_transfer_covers_the_grid_and_its_changes():
    names = [str(case) for case in transfer.all_cases()]
    assert len(names) == len(set(names)) == 21
    assert names[:2] == ["256", "256, permuted"]
    assert {"8 layers of 1,024", "4 layers of 128, tanh"} <= set(names)


def test_a_table_goes_on_where_it_was_stopped(tmp_path, monkeypatch, capsys):
    path, measured = tmp_path / "rows.jsonl", []

    def compare(rule, choice, held_out, case, seeds, trials):
        measured.append(str(case))
        if len(measured) == 2:
            raise KeyboardInterrupt
        gain = [0.1 * len(measured), 0.01]
        return {
            "case": str(case),
            "updates": 2,
            "random": gain,
            "rule": gain,
            "gain": gain,
        }

    def run(*words, code=0):
        command = ["transfer", f"output={path}", *words]
        assert run_one_of(PROGRAMS, command) == code
        return capsys.readouterr()

    cases = [transfer.Case((n,)) for n in (3, 4, 5)]
    held_out = {"digits": (8, lambda _: None)}
    monkeypatch.setattr(transfer, "compare", compare)
    monkeypatch.setattr(transfer, "all_cases", lambda: cases)
    monkeypatch.setattr(sources, "HELD_OUT", held_out)
    monkeypatch.setattr(sources, "load_glyphs", lambda _: letters())
    run(code=130)
    table = run().out
    assert measured == ["3", "4", "4", "5"]
    assert [x[:4] for x in table.splitlines()[4:7]] == ["| 3 ", "| 4 ", "| 5 "]
    # Nothing is left to measure, and the table is the same.
    assert run().out == table
    assert len(measured) == 4
    # Other trials are other rows.
    run("trials=7")
    assert measured[4:] == ["3", "4", "5"]
    path.write_text(path.read_text()[:-9])
    assert "Received: path=" in run(code=2).err


@pytest.mark.one_backend
@pytest.mark.parametrize("part", ["update", "unroll"])
def test_speed_times_what_was_compiled(part):
    rule = kf.LocalUpdateRule(**meta_train.RULE)
    before = rule.get_weights()
    found = speed.measure(speed.PARTS[part], rule, (6, 5), 9, 8, 2, rounds=2)
    median, least = found["milliseconds"]
    assert median >= least >= 0
    assert found["megabytes"] >= found["before"] > 10
    for a, b in zip(before, rule.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
