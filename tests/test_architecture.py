"""Imports go one way; the table below says which."""

import ast
import graphlib
import pathlib
import re
import sys

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
LIBRARY = REPOSITORY / "keras_fivo"
RECIPES = REPOSITORY / "recipes"

# What each part (a file or folder of keras_fivo) may import of the others.
# Itself and the parts that all may import go without saying.
FOR_ALL = {"types", "lookup", "checks"}
MODEL_PARTS = {"backend", "distributions", "heads", "networks"}
MODEL_PARTS |= {"linear_gaussian", "axes"}
MAY_IMPORT: dict[str, set[str]] = {
    "types": set(),
    "axes": {"types"},
    "lookup": {"types"},
    "checks": set(),
    "arrays": set(),
    "backend": set(),
    "inputs": {"axes"},
    "noise": {"axes", "seeds", "backend"},
    "metrics": {"inputs"},
    "presets": set(),
    "seeds": {"types"},
    "distributions": {"backend"},
    "networks": {"axes", "backend"},
    "smc": {"backend", "axes", "noise"},
    "linear_gaussian": {"axes", "distributions", "backend"},
    "structural": {"backend"},
    "heads": {"distributions", "networks"},
    "proposals": MODEL_PARTS,
    "twists": MODEL_PARTS,
    "cells": MODEL_PARTS | {"proposals", "twists"},
    "bounds": {"smc", "inputs", "noise", "twists", "axes"},
    "input_checks": {"inputs"},
}
MAY_IMPORT["inference"] = {*MODEL_PARTS, "cells", "smc", "bounds", "inputs"}
MAY_IMPORT["inference"] |= {"arrays", "input_checks", "seeds", "noise"}
MAY_IMPORT["latent_sequence_model"] = set(MAY_IMPORT)
MAY_IMPORT["testing"] = set(MAY_IMPORT)
# Apart from the sequence models, which know nothing of it.
MAY_IMPORT["learned_rules"] = {"backend", "presets"}

FRAMEWORKS = {"jax", "jaxlib", "tensorflow", "torch"}
BACKEND_NAMES = {"jax", "tensorflow", "torch"}
THIRD_PARTY = {"keras", "numpy", "scipy"}
# What writes a file of that format has installed it.
OPTIONAL = {"latent_sequence_model": {"onnx"}}
MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 50
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# A verb in the third person, and no noun in the plural: "Samples of ...".
VERB = re.compile(r"[A-Z][a-z-]*s\b(?! (of|whose)\b)")


@pytest.fixture(autouse=True)
def _same_start_for_every_test():
    """Takes the place of what sets Keras' seed: nothing here imports it."""


def imported_names(node: ast.AST) -> list[str]:
    """The dotted names that one statement or call imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [f"{node.module}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and node.args:
        called = ast.unparse(node.func).rpartition(".")[2]
        name = node.args[0]
        if called in {"import_module", "__import__"} and isinstance(
            name, ast.Constant
        ):
            return [str(name.value)]
    return []


def docstring_node(node: ast.AST) -> ast.Constant | None:
    """The docstring of a module, class or function, as a node."""
    documented = (ast.Module, ast.ClassDef, *FUNCTIONS)
    if isinstance(node, documented) and node.body:
        first = node.body[0]
        if isinstance(first, ast.Expr) and isinstance(
            first.value, ast.Constant
        ):
            return first.value
    return None


def allowed_parts(part: str) -> set[str]:
    """The parts of the library that `part` may import."""
    for_all = set() if part in FOR_ALL else FOR_ALL
    return MAY_IMPORT.get(part, set()) | for_all | {part}


def import_fault(name: str, part: str) -> str | None:
    """Why `part` must not import `name`; None where it may."""
    top, _, rest = name.partition(".")
    if name == "keras.src" or name.startswith("keras.src."):
        return "imports keras.src, which is private to Keras"
    if top in FRAMEWORKS:
        return None if part == "backend" else f"imports {top} outside backend"
    if top == "keras_fivo":
        other = rest.partition(".")[0]
        if part == "__init__":
            return None if other in MAY_IMPORT else f"imports unknown {name}"
        if other in allowed_parts(part):
            return None
        return f"imports {name}, which {part} may not"
    if top in THIRD_PARTY | OPTIONAL.get(part, set()):
        return None
    if top in sys.stdlib_module_names:
        return None
    return f"imports {top}, which is no dependency"


def node_faults(tree: ast.Module, part: str) -> list[tuple[ast.AST, str]]:
    """What single nodes of a file of `part` do that they must not."""
    docstrings = {docstring_node(node) for node in ast.walk(tree)}
    faults: list[tuple[ast.AST, str | None]] = []
    for node in ast.walk(tree):
        faults += [(node, import_fault(n, part)) for n in imported_names(node)]
        if isinstance(node, ast.ImportFrom) and node.level:
            faults.append((node, "relative import"))
        if isinstance(node, ast.Assert):
            faults.append((node, "assert: raise ValueError or TypeError"))
        if isinstance(node, ast.Attribute) and node.attr == "src":
            if ast.unparse(node.value) == "keras":
                faults.append((node, "uses keras.src"))
        if isinstance(node, ast.Constant) and part != "backend":
            if node not in docstrings and node.value in BACKEND_NAMES:
                faults.append((node, f"names {node.value} outside backend"))
        if (
            isinstance(node, FUNCTIONS)
            and code_lines(node) > MAX_FUNCTION_LINES
        ):
            faults.append((node, f"{node.name}: {code_lines(node)} lines"))
    return [(node, fault) for node, fault in faults if fault]


def summary_faults(tree: ast.Module) -> list[str]:
    """Functions, but for properties, whose summary starts with no verb."""
    return [
        f"{node.lineno}: the summary of {node.name} must start with a verb"
        for node in ast.walk(tree)
        if isinstance(node, FUNCTIONS)
        and (text := ast.get_docstring(node))
        and not any("property" in ast.unparse(d) for d in node.decorator_list)
        and not VERB.match(text)
    ]


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    lines = (function.end_lineno or 0) - function.lineno + 1
    text = docstring_node(function)
    return lines - ((text.end_lineno or 0) - text.lineno + 1 if text else 0)


def library_faults(source: str, part: str) -> list[str]:
    """Every fault of a file of `part`, by line."""
    tree = ast.parse(source)
    faults = [f"{n.lineno}: {fault}" for n, fault in node_faults(tree, part)]
    faults += summary_faults(tree)
    if len(source.splitlines()) > MAX_FILE_LINES:
        faults.append(f"{len(source.splitlines())} lines: split the file")
    names = [n for node in ast.walk(tree) for n in imported_names(node)]
    frameworks = {n.partition(".")[0] for n in names} & BACKEND_NAMES
    if len(frameworks) > 1:
        faults.append(f"names {sorted(frameworks)}: one framework a file")
    return faults


def recipe_faults(source: str, public: set[str]) -> list[str]:
    """Uses of `keras_fivo` in a recipe beyond its public names."""
    tree = ast.parse(source)
    faults, aliases = summary_faults(tree), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            aliases |= {
                alias.asname or alias.name
                for alias in node.names
                if alias.name == "keras_fivo"
            }
        for name in imported_names(node):
            top, _, rest = name.partition(".")
            if name.startswith("keras.src"):
                faults.append(f"{node.lineno}: imports {name}")
            if top == "keras_fivo" and rest and rest not in public:
                faults.append(f"{node.lineno}: imports {name}: not public")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id in aliases and node.attr not in public:
                faults.append(f"{node.lineno}: uses {node.attr}: not public")
    return faults


def parts_on_disk() -> dict[str, list[pathlib.Path]]:
    """The files of each part of the library."""
    parts = {}
    for path in sorted(LIBRARY.iterdir()):
        files = [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))
        if files and path.name != "__pycache__":
            parts[path.stem] = files
    return parts


def public_names(source: str) -> set[str]:
    """The names that `keras_fivo/__init__.py` binds, without running it."""
    names = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        if isinstance(node, ast.Assign):
            names |= {ast.unparse(target) for target in node.targets}
    return names


def in_files(faults: dict[pathlib.Path, list[str]]) -> str:
    return "\n".join(
        f"{path.relative_to(REPOSITORY)}:{fault}"
        for path, found in faults.items()
        for fault in found
    )


def test_the_table_has_no_cycle():
    order = list(
        graphlib.TopologicalSorter(
            {part: allowed_parts(part) - {part} for part in MAY_IMPORT}
        ).static_order()
    )
    assert order[-1] in ("testing", "learned_rules")
    assert len(order) == len(MAY_IMPORT) > 20


def test_every_part_is_in_the_table():
    parts = set(parts_on_disk()) - {"__init__"}
    assert len(parts) >= 10
    assert parts <= set(MAY_IMPORT), parts - set(MAY_IMPORT)


def test_the_library_keeps_to_the_table():
    files = {f: part for part, fs in parts_on_disk().items() for f in fs}
    assert len(files) >= 20
    faults = {f: library_faults(f.read_text(), p) for f, p in files.items()}
    assert not in_files(faults), "\n" + in_files(faults)


def test_no_two_public_classes_have_one_name():
    files = [
        f for p, fs in parts_on_disk().items() if p != "backend" for f in fs
    ]
    trees = [ast.parse(file.read_text()) for file in files]
    names = [
        node.name
        for tree in trees
        for node in tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    assert len(names) > 100
    assert [name for name in set(names) if names.count(name) > 1] == []


def test_tests_of_the_library_import_no_recipe():
    tests = REPOSITORY / "tests"
    files = [*tests.rglob("*.py")]
    files = [x for x in files if tests / "recipes" not in x.parents]
    assert len(files) > 70
    for file in files:
        nodes = ast.walk(ast.parse(file.read_text()))
        names = [name for node in nodes for name in imported_names(node)]
        tops = {name.partition(".")[0] for name in names}
        assert "recipes" not in tops, file


def test_recipes_use_public_names_only():
    files = sorted(RECIPES.rglob("*.py"))
    assert len(files) >= 3
    public = public_names((LIBRARY / "__init__.py").read_text())
    assert len(public) >= 10
    faults = {file: recipe_faults(file.read_text(), public) for file in files}
    assert not in_files(faults), "\n" + in_files(faults)


@pytest.mark.parametrize(
    ("part", "source", "fault"),
    [
        ("cells", "from keras_fivo import bounds", "cells may not"),
        ("cells", "import keras_fivo.smc.weights", "cells may not"),
        ("cells", "def f():\n    from keras_fivo.smc import x", "may not"),
        ("smc", "import keras_fivo", "smc may not"),
        ("smc", "from . import weights", "relative import"),
        ("smc", "import pandas", "no dependency"),
        ("smc", "import jax.numpy as jnp", "jax outside backend"),
        ("smc", "import_module('torch.nn')", "torch outside backend"),
        ("smc", "tpu = keras.backend.backend() == 'jax'", "names jax"),
        ("backend", "import jax, torch", "one framework a file"),
        ("backend", "from keras_fivo import smc", "backend may not"),
        ("heads", "from keras.src import ops", "private to Keras"),
        ("heads", "from keras import src", "private to Keras"),
        ("heads", "x = keras.src.ops", "uses keras.src"),
        ("heads", "assert 1", "assert"),
        ("heads", "def f():\n" + "    x = 1\n" * 50, "51 lines"),
        ("heads", "x = 1\n" * 351, "351 lines"),
        ("heads", 'def f():\n    """The mean."""', "start with a verb"),
        ("heads", 'def f():\n    """Means of it."""', "start with a verb"),
        ("__init__", "from keras_fivo.elsewhere import x", "unknown"),
    ],
)
def test_the_check_sees(part, source, fault):
    assert fault in "\n".join(library_faults(source, part))


@pytest.mark.parametrize(
    ("part", "source"),
    [
        ("cells", "from keras_fivo.heads import NormalHead as NormalHead"),
        ("cells", "from keras_fivo.cells.vrnn import VRNNCell"),
        ("smc", "import math\nimport numpy as np\nfrom keras import ops"),
        ("smc", "from keras_fivo.types import Tensor"),
        ("backend", "import jax\nname = 'jax'"),
        ("heads", "'jax'\nx = 'runs on jax'"),
        ("heads", 'def f():\n    """Gives\n' + "    b\n" * 60 + '    """'),
        (
            "heads",
            'class A:\n    @property\n    def f(self):\n        """A."""',
        ),
        ("__init__", "from keras_fivo.bounds import ELBO as ELBO"),
    ],
)
def test_the_check_allows(part, source):
    assert library_faults(source, part) == []


def test_the_check_tells_public_names_from_private_ones():
    public = public_names("from keras_fivo.bounds import ELBO as ELBO")
    allowed = "import keras_fivo as kf\nkf.ELBO\nfrom keras_fivo import ELBO"
    assert public == {"ELBO"}
    assert recipe_faults(allowed, public) == []
    for source in (
        "import keras_fivo.bounds",
        "from keras_fivo.bounds import ELBO",
        "from keras_fivo import bounds",
        "import keras_fivo as kf\nkf.bounds",
        "from keras.src import ops",
    ):
        assert len(recipe_faults(source, public)) == 1, source
