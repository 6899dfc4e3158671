"""A few planted bugs, so that a change that makes the tests blind is noticed at once; ``make mutants`` plants them all."""

from __future__ import annotations

import os

import pytest

from tests.mutants.plant import MUTANTS, VARIABLE
from tests.mutants.run import all_tests, outcome

pytestmark = pytest.mark.skipif(
    VARIABLE in os.environ and os.environ[VARIABLE] != "", reason="a mutant is planted already"
)
FEW = ("dirty_read", "lost_cancel", "two_winners")


@pytest.mark.parametrize("name", FEW)
def test_a_planted_bug_is_noticed(name: str) -> None:
    found = outcome(list(MUTANTS[name].tests), name)
    assert found.failed, found.broken or "nobody noticed"


def test_without_a_bug_the_same_tests_pass() -> None:
    found = outcome(all_tests(list(FEW)))
    assert not found.failed and not found.broken, found


def test_every_mutant_names_a_rule_and_tests_that_are_there() -> None:
    for name, mutant in MUTANTS.items():
        assert mutant.rule.partition("-")[0] in {
            "LOG",
            "LIFE",
            "SUB",
            "FOLD",
            "RUN",
            "CTL",
            "ACC",
            "MONEY",
            "STAT",
            "TELL",
            "BRAKE",
            "GATE",
            "engine",
        }, name
        assert mutant.what and mutant.tests
        for test in mutant.tests:
            assert os.path.exists(test.partition("::")[0]), test
