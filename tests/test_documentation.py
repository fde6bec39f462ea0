"""What the documentation shows runs as it is written."""

import re

import numpy as np
import pytest

from tests.conftest import REPOSITORY


@pytest.mark.one_backend
def test_the_cell_of_the_guide_trains_and_holds_to_the_contract(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    page = (REPOSITORY / "docs" / "own-cell.md").read_text()
    program, contract = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    # Fewer, smaller updates than the page's; the rest is as it stands.
    program, changes = re.subn("epochs=40", "epochs=1", program)
    assert changes == 1
    names = {}
    exec(program, names)
    printed = capsys.readouterr().out.splitlines()
    assert printed[-2:] == ["(2, 50, 100, 1)", "(2, 100, 12, 1)"]
    numpy = names["keras"].ops.convert_to_numpy
    assert np.isfinite(numpy(names["future"].samples)).all()
    exec(contract, names)
    again = names["keras"].saving.load_model("volatility.keras")
    np.testing.assert_array_equal(numpy(again.cell.mu), numpy(names["cell"].mu))
