"""What users get wrong: one line, exit code 2, nothing written."""

import re

import pytest

from recipes.cli import main
from recipes.cli.verbs import VERBS
from recipes.errors import RecipeError, told_to_the_user
from recipes.pianoroll.data import NAMES as LOADED_NAMES
from recipes.registry import RECIPES, recipe_of
from recipes.settings.program import guarded, read_arguments

FIT = recipe_of("jsb").fit_settings("jsb")


def fit_settings(*argv):
    return FIT.changed(**read_arguments(argv, "data"))


def test_pairs_and_flags_mean_the_same():
    pairs = ("jsb", "num_particles=8", "learning_rate=1e-3", "minutes=2")
    flags = (
        "--data=jsb",
        "--num-particles",
        "8",
        "--learning_rate=1e-3",
        "--minutes",
        "2",
    )
    assert read_arguments(pairs, "data") == read_arguments(flags, "data")
    found = fit_settings(*pairs)
    assert found == fit_settings(*flags)
    assert found == FIT.changed(
        num_particles=8, learning_rate=1e-3, minutes=2.0
    )


def test_words_become_values():
    found = fit_settings("updates=1e3", "hidden_units=16,8", "tensorboard=no")
    assert found.updates == 1000 and type(found.updates) is int
    assert found.hidden_units == (16, 8)
    assert found.tensorboard is False
    assert FIT.changed(clipnorm=2.0).changed(clipnorm="none").clipnorm is None
    # Records of before have a number where there is a list now.
    assert FIT.changed(hidden_units=16) == fit_settings("hidden_units=16")


def test_a_value_may_hold_an_equals_sign():
    assert read_arguments(["run=a=b"]) == {"run": "a=b"}
    assert read_arguments(["--run", "a=b"]) == {"run": "a=b"}


def test_what_is_said_twice_holds_as_said_last():
    assert read_arguments(["seed=1", "--seed", "2"]) == {"seed": "2"}


def test_settings_are_written_as_they_are_read():
    changed = FIT.changed(
        hidden_units=(8, 4), learning_rate=5.4321e-4, tensorboard=False
    )
    words = changed.arguments(FIT)
    assert words == [
        "hidden_units=8,4",
        "learning_rate=0.00054321",
        "tensorboard=false",
    ]
    assert fit_settings(*words) == changed
    assert FIT.changed(**changed.as_dict()) == changed


@pytest.mark.parametrize(
    ("data", "latent_dim"),
    [("jsb", 32), ("bach", 32), ("nottingham", 64), ("musedata", 256)],
)
def test_sizes_follow_the_data_set(data, latent_dim):
    recipe = recipe_of(data)
    assert recipe.fit_settings(data).latent_dim == latent_dim
    assert recipe.tune_settings(data).latent_dim == latent_dim
    assert recipe.fit_settings(data, latent_dim=5).latent_dim == 5


def test_the_names_of_data_sets_agree():
    known = [one.settings.data for one in recipe_of("jsb").data_sets]
    assert tuple(known) == LOADED_NAMES


@pytest.mark.parametrize("verb", ["fit", "tune", "evaluate", "sample"])
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_every_setting_is_in_the_help_with_its_default(verb, recipe):
    program = VERBS[verb]
    data = recipe.data_sets[-1].settings.data
    defaults = program.defaults
    if callable(defaults):
        defaults = defaults({"data": data})
    text = program.help_text(defaults, "Describes.")
    fields = type(defaults).model_fields
    assert len(fields) >= 4
    words = " ".join(text.split())
    for name, field in fields.items():
        assert "--" + name.replace("_", "-") in text
        about = " ".join(field.description.split())
        assert about.endswith(".") and about[0].isupper()
        assert about.split()[0] not in ("Of", "As", "The", "At", "For")
        shown = str(getattr(defaults, name))
        assert not shown.isdigit() or f"{about} [{shown}]" in words


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb, capsys):
    assert main([verb, "--help"]) == 0
    printed = capsys.readouterr().out
    assert f"python -m recipes {verb}" in printed
    assert max(map(len, printed.splitlines())) <= 100


def test_help_of_a_search_is_that_of_the_data(capsys):
    for data, told in (
        ("sales.csv", "CRPS of a back-test"),
        ("learned_rule", "merge.json"),
        ("bach", "Keeps the best model as best.keras."),
    ):
        assert main(["tune", data, "--help"]) == 0
        assert told in capsys.readouterr().out


def test_help_lists_the_verbs(capsys):
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert all(verb in printed for verb in VERBS)


def test_list_names_the_data_sets(capsys):
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in LOADED_NAMES)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["fits"], "Did you mean `fit`?"),
        (["fit", "jbs"], "Did you mean 'jsb'?"),
        (["fit", "jsb", "num_particle=4"], "Did you mean `num_particles`?"),
        (["fit", "jsb", "--num-particle", "4"], "Did you mean `num_particles`"),
        (["fit", "jsb", "bound=fvio"], "Received: bound='fvio'"),
        (["fit", "jsb", "updates=many"], "Received: updates='many'"),
        (["fit", "jsb", "updates=1.5"], "must be an integer"),
        (["fit", "jsb", "num_particles=0"], "Received: num_particles=0"),
        (["fit", "jsb", "learning_rate=nan"], "must be a number"),
        (["fit", "jsb", "learning_rate=0"], "must be above 0"),
        (["fit", "jsb", "dropout=1"], "must be at most 0.99"),
        (["fit", "jsb", "scheme=best"], "one of multinomial"),
        (["fit", "jsb", "seed=none"], "Received: seed='none'"),
        (["fit", "jsb", "--updates"], "`--updates` needs a value"),
        (["fit", "jsb", "bach"], "Received: 'bach'"),
        (["tune", "jsb", "search=colour"], "Received: search with 'colour'"),
        (["fit", "jsb", "hidden_units=8,big"], "hidden_units with 'big'"),
        (["fit", "jsb", "tensorboard=perhaps"], "must be true or false"),
        (["prepare"], "Received: recipe=''"),
        (["prepare", "music"], "Received: recipe='music'"),
        (["prepare", "speech", "corpus=digit"], "Did you mean 'digits'?"),
        (["list", "bach"], "Received: 'bach'"),
        (["preset", "name=My run"], "must match ^([a-z0-9]"),
        (["benchmark", "backends=mxnet"], "Received: backends with 'mxnet'"),
    ],
)
def test_an_error_is_one_line(argv, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ") and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_refused_is_told(tmp_path, capsys):
    path = tmp_path / "file"
    path.touch()

    def write():
        (path / "run").mkdir()

    def write_told():
        with told_to_the_user():
            path.mkdir()

    for start, reason in (
        (write, f"Not a directory. Choose another.*path='{path}/run'"),
        (write_told, f"File exists. Choose another.*path='{path}'"),
    ):
        assert guarded(start) == 2
        assert re.match(f"error: {reason}", capsys.readouterr().err)

    def lose():
        raise FileNotFoundError(2, "No such file", "a module's own")

    with pytest.raises(FileNotFoundError):
        guarded(lose)


def test_settings_must_not_be_absent():
    with pytest.raises(RecipeError, match="Received: seed=None"):
        FIT.changed(seed=None)
