"""The picture of particles and their ancestors."""

import numpy as np

from recipes.experiments.lineage_picture import PROGRAM, survivors


def test_survivors_are_counted_at_each_step():
    lineage = np.array([[1, 1, 1], [0, 0, 2], [0, 1, 2]])
    assert survivors(lineage) == [1, 2, 3]


def test_a_filter_of_the_chain_is_drawn(tmp_path, capsys):
    path = tmp_path / "lineage.png"
    argv = ["run=chain-filtering", "num_particles=8", f"output={path}"]
    assert PROGRAM.main(argv) == 0
    assert path.read_bytes().startswith(b"\x89PNG")
    said = capsys.readouterr().out
    assert "8 particles of the last of 20 steps descend from" in said


def test_an_entry_that_is_not_there_is_refused(tmp_path, capsys):
    path = tmp_path / "lineage.png"
    argv = ["run=chain-filtering", "entry=1", f"output={path}"]
    assert PROGRAM.main(argv) == 2
    assert "must be below 1. Received: entry=1" in capsys.readouterr().err
    assert not path.exists()
