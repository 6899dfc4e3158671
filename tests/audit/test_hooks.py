"""Commands of the person's own: what they leave running is not waited for."""

from __future__ import annotations

import pytest

from holdfast.audit.probes import hooks

pytestmark = pytest.mark.anyio


async def test_one_that_succeeds_says_nothing() -> None:
    assert await hooks.run_hook("echo killed") is None


async def test_one_that_fails_is_quoted_from_its_end() -> None:
    said = await hooks.run_hook("yes | head -c 100000; echo no such process >&2; exit 3")
    assert (
        said is not None and said.startswith("exit code 3: ") and said.endswith("no such process\n") and len(said) < 300
    )


async def test_what_it_leaves_running_holds_nobody_up() -> None:
    assert await hooks.run_hook("sleep 30 & exit 0") is None, "it was not waited for: that would be too long"


async def test_one_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "HOOK_S", 0.2)
    assert await hooks.run_hook("sleep 30 | cat") == "it took longer than 0.2 s"
