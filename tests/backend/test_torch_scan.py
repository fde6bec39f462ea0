"""The traced and the compiled scan against the plain loop in Python."""

import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest

import keras_fivo as kf

if keras.backend.backend() != "torch":
    pytest.skip("the scan of PyTorch", allow_module_level=True)

import torch

from keras_fivo import backend
from keras_fivo.backend.torch import compilation, execution, program

FEATURES = 5
SLOW = pytest.mark.slow

BOUNDS = {
    "elbo": lambda: kf.ELBO(),
    "iwae": lambda: kf.IWAE(3),
    "fivo": lambda: kf.FIVO(3, criterion="always"),
    "adaptive": lambda: kf.FIVO(3),
    "relaxed": lambda: kf.FIVO(3, scheme="relaxed"),
}


class RandomWalk(kf.LatentCell):
    """A cell of a user's own, with a weight and a constant of its own."""

    def build_parts(self, observation_dim, control_dim):
        self.drift = self.add_weight(name="drift", shape=(self.latent_dim,))
        self.factor = 0.5

    def transition_distribution(self, context):
        mean = self.factor * context + self.drift
        return kf.Normal(mean, keras.ops.ones_like(mean))

    def emission_distribution(self, context, embedded):
        mean = embedded[:, :FEATURES]
        return kf.Normal(mean, keras.ops.exp(0.1 * mean))


def vrnn(**options):
    options = {"emission": kf.BernoulliHead(FEATURES), **options}
    return kf.VRNNCell(latent_dim=4, units=6, **options)


CELLS = {
    "vrnn": vrnn,
    "dropout": lambda: vrnn(dropout=0.3),
    "smoothing": lambda: vrnn(proposal="smoothing"),
    "gru": lambda: vrnn(recurrent=keras.layers.GRUCell(6)),
    "normal": lambda: vrnn(emission=kf.NormalHead(FEATURES)),
    "srnn": lambda: kf.SRNNCell(4, 6, emission=kf.BernoulliHead(FEATURES)),
    "user": lambda: RandomWalk(latent_dim=FEATURES),
}


def model_of(cell, bound, **compile_options):
    model = kf.LatentSequenceModel(cell, bound=bound, seed=3)
    model.build((None, None, FEATURES))
    for i, weight in enumerate(model.trainable_variables):
        values = np.random.default_rng(i).normal(size=weight.shape)
        weight.assign(0.4 * values)
    model.compile(keras.optimizers.SGD(0.01), **compile_options)
    return model


def batch_of(batch=2, num_steps=6, masked=True):
    rng = np.random.default_rng(batch + num_steps)
    observations = rng.random((batch, num_steps, FEATURES)) < 0.4
    mask = np.ones((batch, num_steps), bool)
    if masked:
        mask[0, num_steps - 2 :] = False
        mask[-1, 1] = False
    return {
        "observations": torch.from_numpy(observations.astype("float32")),
        "mask": torch.from_numpy(mask),
    }


def run(cell, bound, batches, **compile_options):
    """Losses of some updates, and the weights after them, in one vector."""
    model = model_of(cell(), bound(), **compile_options)
    losses = [float(model.train_step(data)["loss"]) for data in batches]
    weights = [v.numpy().ravel() for v in model.trainable_variables]
    return np.array(losses), np.concatenate(weights)


def assert_same(found, expected, tolerance=1e-6):
    for a, b in zip(found, expected, strict=True):
        error = np.linalg.norm(a - b) / np.linalg.norm(b)
        assert error < tolerance, error


@pytest.fixture(autouse=True)
def _nothing_said_yet(monkeypatch):
    monkeypatch.setattr(execution, "_SAID", set())


@pytest.fixture
def programs(monkeypatch):
    """The programs that a test traces, none to begin with."""
    fresh: dict = {}
    monkeypatch.setattr(program, "_PROGRAMS", fresh)
    return fresh


# By default all bounds of one cell, and two of each other.
OFTEN = {
    "dropout": ("adaptive", "elbo"),
    "smoothing": ("adaptive", "relaxed"),
    "gru": ("adaptive", "iwae"),
    "normal": ("adaptive", "fivo"),
    "srnn": ("adaptive", "relaxed"),
    "user": ("adaptive", "elbo"),
}


@pytest.mark.parametrize(
    ("cell", "bound"),
    [
        pytest.param(
            cell, bound, marks=() if bound in OFTEN.get(cell, BOUNDS) else SLOW
        )
        for cell in CELLS
        for bound in BOUNDS
    ],
)
def test_traced_updates_equal_plain_ones(cell, bound, programs):
    batches = [batch_of()] * 3
    plain = run(CELLS[cell], BOUNDS[bound], batches, run_eagerly=True)
    assert not programs
    traced = run(CELLS[cell], BOUNDS[bound], batches)
    assert programs
    assert all(isinstance(x, program.Program) for x in programs.values())
    assert_same(traced, plain)


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=SLOW)])
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"num_iterations": 2}, id="joint", marks=SLOW),
        pytest.param({"second_order": True}, id="second_order", marks=SLOW),
        pytest.param({"objective": "em"}, id="em", marks=SLOW),
        pytest.param({"objective": "em", "online": True}, id="online"),
    ],
)
def test_updates_with_refinements_equal_plain_ones(options, compiled, programs):
    def states(**compile_options):
        keras.utils.set_random_seed(0)
        proposal = kf.IterativeProposal(**options)
        cell = vrnn(proposal=proposal)
        model = model_of(cell, kf.FIVO(3), **compile_options)
        losses = [model.train_step(batch_of())["loss"] for _ in range(4)]
        logs = model.evaluate(batch_of(), verbose=0, return_dict=True)
        floats = [v for v in cell.variables if "float" in v.dtype]
        values = [v.numpy().ravel() for v in floats]
        return np.array([*losses, *logs.values()]), np.concatenate(values)

    plain = states(run_eagerly=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*plain Python")
        found = states(jit_compile=compiled)
    assert programs
    assert_same(found, plain, tolerance=1e-5)


@pytest.mark.parametrize(
    ("cell", "bound"),
    [
        ("vrnn", "adaptive"),
        pytest.param("gru", "elbo", marks=SLOW),
        pytest.param("smoothing", "iwae", marks=SLOW),
        pytest.param("user", "relaxed", marks=SLOW),
    ],
)
def test_compiled_updates_equal_plain_ones(cell, bound, programs):
    batches = [batch_of()] * 4
    plain = run(CELLS[cell], BOUNDS[bound], batches, run_eagerly=True)
    compiled = run(CELLS[cell], BOUNDS[bound], batches, jit_compile=True)
    assert_same(compiled, plain)
    kinds = [key[1] for x in programs.values() for key in x._plans]
    assert True in kinds


def test_gradients_of_half_precision_add_up_in_full_precision():
    keras.config.set_dtype_policy("mixed_float16")
    batches = [batch_of(num_steps=60)] * 2
    plain = run(vrnn, BOUNDS["elbo"], batches, run_eagerly=True)
    moved = run(vrnn, BOUNDS["elbo"], [], run_eagerly=True)[1]
    traced = run(vrnn, BOUNDS["elbo"], batches)
    assert_same([traced[1] - moved], [plain[1] - moved], tolerance=2e-3)


def test_one_program_serves_all_lengths_and_models(programs):
    batches = [batch_of(num_steps=n) for n in (4, 9, 5)]
    plain = run(vrnn, BOUNDS["fivo"], batches, run_eagerly=True)
    for _ in range(2):
        assert_same(run(vrnn, BOUNDS["fivo"], batches), plain)
    assert len(programs) == 1


def test_each_batch_size_has_its_program(programs):
    batches = [batch_of(batch=n) for n in (2, 3, 2)]
    plain = run(vrnn, BOUNDS["fivo"], batches, run_eagerly=True)
    assert_same(run(vrnn, BOUNDS["fivo"], batches), plain)
    assert len(programs) == 2


def test_a_changed_setting_of_a_cell_is_seen(programs):
    def losses(**options):
        model = model_of(RandomWalk(FEATURES), kf.FIVO(3), **options)
        first = float(model.train_step(batch_of())["loss"])
        model.cell.factor = 0.9
        return np.array([first, float(model.train_step(batch_of())["loss"])])

    assert_same([losses()], [losses(run_eagerly=True)])
    assert len(programs) == 2


def test_evaluation_equals_that_of_the_plain_loop(programs):
    found = [
        model_of(vrnn(), kf.FIVO(3), **options).evaluate(
            batch_of(), verbose=0, return_dict=True
        )
        for options in ({"run_eagerly": True}, {})
    ]
    assert len(programs) == 1
    assert found[1] == pytest.approx(found[0], rel=1e-6)


def test_fit_with_jit_compile_compiles_the_step_alone(programs):
    data = batch_of()
    model = model_of(RandomWalk(FEATURES), kf.ELBO(), jit_compile=True)
    history = model.fit(
        data["observations"].numpy(), batch_size=2, epochs=3, verbose=0
    )
    assert np.all(np.isfinite(history.history["loss"]))
    assert not hasattr(model.train_function, "_torchdynamo_orig_callable")
    assert any(key[1] for x in programs.values() for key in x._plans)


def test_more_steps_per_execution_are_refused():
    model = model_of(vrnn(), kf.ELBO())
    model.compile(keras.optimizers.SGD(0.01), steps_per_execution=2)
    with pytest.raises(ValueError, match="Received: steps_per_execution=2"):
        model.fit(batch_of()["observations"].numpy(), verbose=0)


def test_without_a_compiler_the_step_runs_traced(programs, monkeypatch):
    def refuse(*arguments):
        raise compilation.CompilationFailed("no C++ compiler")

    monkeypatch.setattr(compilation, "compile_graph", refuse)
    batches = [batch_of()] * 3
    plain = run(vrnn, BOUNDS["fivo"], batches, run_eagerly=True)
    with pytest.warns(UserWarning, match="no C\\+\\+ compiler"):
        found = run(vrnn, BOUNDS["fivo"], batches, jit_compile=True)
    assert_same(found, plain)


def scan_both_ways(step, carry, inputs, reverse=False):
    """Results and gradients of a scan, traced and plain."""
    found = []
    for mode in ("traced", "plain"):
        leaves = [x.detach().requires_grad_() for x in (carry, inputs)]
        with execution.using(mode):
            final, outputs = backend.scan(step, *leaves, reverse)
        value = (final**2).sum() + torch.sin(outputs).sum()
        gradients = torch.autograd.grad(value, leaves, allow_unused=True)
        found.append([final, outputs, *gradients])
    return found


@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_reach_the_first_carry_and_the_inputs(reverse, programs):
    def step(carry, x):
        new = torch.tanh(carry * x + 0.1)
        return new, new.sum(-1) * x[:, 0]

    traced, plain = scan_both_ways(
        step, torch.randn(2, 3), torch.randn(5, 2, 3), reverse
    )
    assert len(programs) == 1
    for a, b in zip(traced, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)


def test_gradients_reach_a_tensor_that_the_step_captured(programs):
    data = torch.randn(5, 2, 3)

    def gradient(mode, scale):
        weight = (scale * torch.eye(3)).requires_grad_()
        product = weight @ weight

        def step(carry, x):
            return carry @ product + x, carry[:, :1] * weight[0]

        with execution.using(mode):
            final, outputs = backend.scan(step, torch.zeros(2, 3), data)
        return torch.autograd.grad(final.sum() + outputs.sum(), weight)[0]

    for scale in (0.5, 0.7):
        torch.testing.assert_close(
            gradient("traced", scale), gradient("plain", scale)
        )
    assert len(programs) == 1


def test_a_constant_that_changes_between_scans_is_seen(programs):
    carry, data = torch.zeros(2), torch.ones(4, 2)
    finals = []
    for value in (1.0, 2.0):
        constant = torch.full((2,), value)
        final, _ = backend.scan(
            lambda c, x, k=constant: (c + k * x, c), carry, data
        )
        finals.append(float(final[0]))
    assert finals == [4.0, 8.0]
    assert len(programs) == 1


def test_a_gradient_that_the_first_pass_lacked_is_right(programs):
    def step(carry, x):
        return carry * x, torch.exp(carry)

    def gradients(mode, both):
        leaves = [torch.full((2,), 0.5), torch.linspace(0, 1, 8).view(4, 2)]
        leaves = [x.requires_grad_() for x in leaves]
        with execution.using(mode):
            final, outputs = backend.scan(step, *leaves)
        value = final.sum() + (outputs.sum() if both else 0.0)
        return torch.autograd.grad(value, leaves)

    for both in (False, False, True):
        found, expected = (gradients(m, both) for m in ("traced", "plain"))
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b)


def reads_a_value(carry, x):
    return (carry + 1 if float(x[0]) > 0.5 else carry - 1), carry


def goes_through_numpy(carry, x):
    return carry + torch.from_numpy(x.detach().numpy()), carry


def draws_noise(carry, x):
    return carry + torch.randn_like(x), carry


def makes_no_gradient(carry, x):
    with torch.no_grad():
        factor = torch.exp(x)
    return carry * factor, carry


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (reads_a_value, "reads values by `__float__`"),
        (goes_through_numpy, "reads values by `numpy`"),
        (draws_noise, "draws random numbers"),
        (makes_no_gradient, "switches gradients off"),
    ],
)
def test_what_cannot_be_recorded_runs_as_plain_python(step, reason, programs):
    carry, data = torch.zeros(2), torch.rand(6, 2)
    torch.manual_seed(0)
    with pytest.warns(UserWarning, match=f"{reason}: it runs as plain Python"):
        traced = backend.scan(step, carry, data)
    torch.manual_seed(0)
    with execution.using("plain"):
        plain = backend.scan(step, carry, data)
    assert not programs
    assert torch.is_grad_enabled()
    for a, b in zip(traced, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_a_step_that_changes_what_it_was_given_runs_as_plain_python(programs):
    counter = torch.zeros(())

    def step(carry, x):
        counter.add_(1.0)
        return carry + x, carry

    with pytest.warns(UserWarning, match="changes a tensor"):
        backend.scan(step, torch.zeros(2), torch.ones(5, 2))
    assert float(counter) == 5
    assert not programs


@pytest.mark.parametrize("mode", ["traced", "compiled"])
def test_a_step_that_cannot_be_recorded_says_so_once(mode):
    carry, data = torch.zeros(2), torch.rand(6, 2)
    with execution.using(mode):
        with pytest.warns(UserWarning, match="plain Python") as said:
            for _ in range(3):
                backend.scan(reads_a_value, carry, data)
    assert len(said) == 1


def test_a_step_that_is_to_run_as_plain_python_says_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with execution.using("plain"):
            backend.scan(reads_a_value, torch.zeros(2), torch.rand(6, 2))


def _run_without(statements):
    """What a scan gives, and says, in a PyTorch that lacks something."""
    program = f"""
import warnings
import keras  # PyTorch's own compiler reads these names too, once
{statements}
import torch
from keras_fivo import backend
from keras_fivo.backend.torch import execution
weight = torch.full((2,), 2.0, requires_grad=True)
def run():
    final, _ = backend.scan(
        lambda c, x: (c * weight + x, c), torch.zeros(2), torch.ones(4, 2))
    return torch.autograd.grad(final.sum(), weight)[0].tolist()
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    with execution.using("compiled"):
        found = [run() for _ in range(3)]
messages = [str(x.message) for x in said if "Python" in str(x.message)
            or "compiler" in str(x.message)]
assert found == [[17.0, 17.0]] * 3, found
print(len(messages), *messages)
"""
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (
            "from torch.fx.experimental import proxy_tensor\n"
            "del proxy_tensor.make_fx",
            "cannot import name 'make_fx'",
        ),
        (
            "from torch._inductor import compile_fx\n"
            "del compile_fx.compile_fx_inner",
            "cannot import name 'compile_fx_inner'",
        ),
    ],
)
def test_an_interface_that_pytorch_lacks_costs_speed_alone(statements, message):
    said = _run_without(statements)
    assert said.startswith("1 ")
    assert message in said


def test_a_weight_changed_before_the_backward_pass_is_noticed():
    weight = torch.ones(2, requires_grad=True)
    final, _ = backend.scan(
        lambda c, x: (c * weight + x, c), torch.ones(2), torch.ones(4, 2)
    )
    with torch.no_grad():
        weight.mul_(2.0)
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        final.sum().backward()


def test_an_error_inside_the_loop_is_raised():
    data = torch.eye(2).repeat(5, 1, 1)
    data[3] = -data[3]

    def step(carry, x):
        return carry + torch.linalg.cholesky(x), carry

    with pytest.raises(RuntimeError, match="positive-definite"):
        backend.scan(step, torch.zeros(2, 2), data)
