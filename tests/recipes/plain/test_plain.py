"""The tests of this folder import no Keras."""

import pathlib
import subprocess
import sys

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]


def test_no_module_of_these_tests_imports_keras():
    files = sorted(pathlib.Path(__file__).parent.rglob("test_*.py"))
    assert len(files) >= 14
    names = [
        ".".join(file.relative_to(REPOSITORY).with_suffix("").parts)
        for file in files
    ]
    script = "import importlib, sys\n"
    script += f"for name in {names}:\n"
    script += "    importlib.import_module(name)\n"
    script += "    assert 'keras' not in sys.modules, name\n"
    subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, check=True)
