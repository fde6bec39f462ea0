"""Which canonical test chorales share their melody with training ones."""

import pytest

from recipes.pianoroll.data import load
from recipes.pianoroll.overlap import JSB_DIGEST, JSB_UNLEAKED, leaked
from tests.conftest import REPOSITORY

JSB = REPOSITORY.parent / "shared" / "data" / "pianorolls" / "jsb.npz"


def test_published_positions_against_the_rule():
    if not JSB.is_file():
        pytest.skip("no jsb.npz in ../shared/data")
    rolls = load("jsb", JSB)
    assert rolls.digest() == JSB_DIGEST
    found = set(leaked(rolls.test, rolls.train))
    published = set(range(77)) - set(JSB_UNLEAKED)
    assert len(JSB_UNLEAKED) == 49 and len(published) == 28
    assert published <= found
    assert sorted(found - published) == [5, 17, 27, 29, 46, 49, 57]
