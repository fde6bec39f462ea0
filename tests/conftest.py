"""Fixtures. Keras is imported where it is used: what frameworks print while
this file loads, pytest would repeat after its summary."""

import gc
import importlib.metadata
import itertools
import json
import os
import pathlib

import numpy as np
import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
# Tests that import no Keras: `make test` runs them once.
PLAIN = (
    REPOSITORY / "tests" / "recipes" / "plain",
    REPOSITORY / "tests" / "test_architecture.py",
)

_FILES = itertools.count(1)

# All must be set before anything imports a framework.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Tests compile much and run little: what one compiled, the others and the next
# run find in this folder.
os.environ.setdefault(
    "XLA_FLAGS",
    # Without these emitters XLA compiles a training step in a third of the
    # time.
    "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false",
)
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(REPOSITORY / ".pytest_cache" / "jax")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

if os.environ.get("KERAS_FIVO_BLOCK_OTHER_BACKENDS") == "1":
    from tests.backend_blocker import block_other_backends

    block_other_backends(os.environ["KERAS_BACKEND"])


def pytest_addoption(parser):
    parser.addoption(
        "--plain",
        choices=("only", "skip"),
        help="Run only the tests that import no Keras, or all but those.",
    )


def pytest_ignore_collect(collection_path, config):
    chosen = config.getoption("plain")
    if not chosen or collection_path.is_dir():
        return None
    if any(collection_path.is_relative_to(path) for path in PLAIN):
        return chosen == "skip" or None
    return chosen == "only" or None


def pytest_collection_finish():
    """What is imported stays, and is looked through no more for garbage."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Leaves what one backend shows to PyTorch, which starts at once."""
    if os.environ["KERAS_BACKEND"] != "torch":
        for item in items:
            if item.get_closest_marker("one_backend"):
                item.add_marker(pytest.mark.slow)


def pytest_report_header(config):
    blocked = os.environ.get("KERAS_FIVO_BLOCK_OTHER_BACKENDS") == "1"
    others = "hidden" if blocked else "importable"
    return (
        f"keras {importlib.metadata.version('keras')}, "
        f"backend {os.environ['KERAS_BACKEND']}, other backends {others}"
    )


@pytest.fixture(autouse=True, scope="session")
def _graphs_run_as_they_are(request):
    """TensorFlow takes longer to optimize a graph than a test to run it."""
    if (
        os.environ["KERAS_BACKEND"] == "tensorflow"
        and request.config.getoption("plain") != "only"
    ):
        import tensorflow as tf

        tf.config.optimizer.set_experimental_options(
            {"disable_meta_optimizer": True}
        )


@pytest.fixture(autouse=True)
def _same_start_for_every_test():
    """A test depends neither on those before it nor on its process."""
    import keras

    keras.utils.set_random_seed(1234)
    policy = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(policy)


@pytest.fixture(autouse=True, scope="module")
def _memory_is_given_back():
    """Compiled functions of JAX stay in memory: gigabytes, by the end.

    Not after each file: what one compiled, the next would make again.
    """
    yield
    if os.environ["KERAS_BACKEND"] == "jax" and next(_FILES) % 3 == 0:
        import jax

        jax.clear_caches()


@pytest.fixture(scope="session")
def backend_name() -> str:
    import keras

    return keras.backend.backend()


@pytest.fixture(scope="session")
def shared_dir() -> pathlib.Path:
    """The folder of reference files beside the checkout, where there is one."""
    path = REPOSITORY.parent / "shared"
    if not path.is_dir():
        pytest.skip("no folder `shared` beside the checkout")
    return path


class Cut:
    """A committed part of a reference file; what is not in it skips a test."""

    def __init__(self, path: pathlib.Path):
        self.arrays = {
            name: np.array(entry["values"], entry["dtype"])
            for name, entry in json.loads(path.read_text()).items()
        }
        self.files = list(self.arrays)

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.arrays:
            pytest.skip(f"{name} is in the whole reference file only")
        return self.arrays[name]

    def close(self) -> None:
        """As of an opened `.npz` file."""


@pytest.fixture
def golden():
    """`golden(name)` opens the reference file `name`.

    It is read from the folder `shared` beside the checkout. Where that is
    absent, the committed cut of the file is, if there is one; else the test
    is skipped.
    """
    opened = []

    def load(name: str):
        name = name.removesuffix(".npz")
        path = REPOSITORY.parent / "shared" / "golden" / f"{name}.npz"
        cut = REPOSITORY / "tests" / "reference" / "cuts" / f"{name}.json"
        if path.is_file():
            opened.append(np.load(path, allow_pickle=False))
        elif cut.is_file():
            opened.append(Cut(cut))
        else:
            pytest.skip(f"no reference file {path.name} in ../shared/golden")
        return opened[-1]

    yield load
    for file in opened:
        file.close()
