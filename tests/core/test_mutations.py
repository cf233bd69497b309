"""Every mutation of ``tests/mutations.py`` still fits the code: a fault that cannot be made proves nothing."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "tests" / "mutations.py"))


@pytest.mark.parametrize("mutation", SCRIPT["MUTATIONS"], ids=lambda one: one.name)
def test_the_mutation_changes_the_code_in_one_place(mutation):
    text = (ROOT / "revpers_core" / mutation.file).read_text()
    assert SCRIPT["mutated"](mutation, text) != text


@pytest.mark.parametrize("mutation", SCRIPT["MUTATIONS"], ids=lambda one: one.name)
def test_its_tests_exist(mutation):
    assert all((ROOT / path).is_file() for path in mutation.tests.split())


def test_there_are_at_least_twenty():
    assert len({one.name for one in SCRIPT["MUTATIONS"]}) >= 20
