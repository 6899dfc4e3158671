"""Who may write which family of events: each kind of writer, inside runs and outside them."""

from __future__ import annotations

import itertools

import pytest

from holdfast.errors import Refused
from holdfast.session import families
from holdfast.session.access import VERBS, Capability, Principal
from holdfast.session.state import State
from holdfast.session.writer import Writer

KINDS = ("user", "agent", "policy", "check", "system")
OURS = ("session", "input", "steer", "run", "cancel", "approval", "branch", "handoff")
GOVERNANCE = ("budget", "route", "policy", "workflow", "trail")
MAY = {
    **dict.fromkeys(OURS, frozenset()),
    **dict.fromkeys(GOVERNANCE, frozenset({"policy", "system"})),
    "usage": frozenset({"policy", "system"}),
    "outcome": frozenset({"policy", "system", "user", "check"}),
}


def refusal(type_: str, actor: str, *, verbs: frozenset[str] = VERBS, in_run: bool = False, minter: str = "") -> str:
    principal = Principal(actor, "acme", (Capability("*", verbs),), minters=(minter,) if minter else ())
    try:
        families.check(type_, Writer(State("s1", "i1"), actor, 0, principal), "s1", in_run=in_run)
    except Refused as refused:
        return refused.code
    return ""


@pytest.mark.parametrize(("family", "kind"), list(itertools.product(MAY, KINDS)))
def test_each_family_has_its_writers(family: str, kind: str) -> None:
    type_, actor = f"{family}.happened", f"{kind}:x"
    assert refusal(type_, actor) == ("" if kind in MAY[family] else "input.event_type")
    if kind in MAY[family]:
        assert refusal(type_, actor, verbs=VERBS - {"record"}) == "auth.denied"
        assert refusal(type_, actor, minter="agent:writer") == "input.event_type"
        assert refusal(type_, actor, minter="user:root") == ""


@pytest.mark.parametrize("family", MAY)
def test_inside_a_run_its_holder_says_what_it_used_and_nothing_else_of_these(family: str) -> None:
    assert refusal(f"{family}.recorded", "agent:writer", verbs=frozenset({"append"}), in_run=True) == (
        "" if family == "usage" else "input.event_type"
    )
    assert refusal(f"{family}.recorded", "policy:x", in_run=True) == ("" if family == "usage" else "input.event_type")


@pytest.mark.parametrize(
    "type_", ["vendor.thing", "CUSTOM", "budget", "tool.paused", "source.cited", "upstream.unknown"]
)
def test_what_is_in_no_family_is_content(type_: str) -> None:
    assert refusal(type_, "user:ann", verbs=frozenset({"append"})) == ""
