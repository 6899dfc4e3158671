"""A few planted bugs, so that a change that makes the tests blind is noticed at once; ``make mutants`` plants them all."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.mutants.plant import MUTANTS, VARIABLE
from tests.mutants.run import all_tests, outcome

pytestmark = pytest.mark.skipif(
    VARIABLE in os.environ and os.environ[VARIABLE] != "", reason="a mutant is planted already"
)
PLANTING = """
import os
from tests.mutants.plant import MUTANTS

for name, mutant in MUTANTS.items():
    child = os.fork()  # each is planted in a process of its own
    if not child:
        try:
            mutant.plant()
        except BaseException as error:
            print(f"{name}: {error!r}", flush=True)
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        print(f"{name} cannot be planted", flush=True)
"""
FEW = ("dirty_read", "lost_cancel", "two_winners")


@pytest.mark.parametrize("name", FEW)
def test_a_planted_bug_is_noticed(name: str) -> None:
    found = outcome(list(MUTANTS[name].tests), name)
    assert found.failed, found.broken or "nobody noticed"


def test_without_a_bug_the_same_tests_pass() -> None:
    found = outcome(all_tests(list(FEW)))
    assert not found.failed and not found.broken, found


def test_every_planted_bug_can_still_be_planted() -> None:
    """What it replaces is there, and takes what it is replaced by: else a promise is watched by nobody, and nobody notices."""
    found = subprocess.run([sys.executable, "-c", PLANTING], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, ""), found.stdout + found.stderr


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
