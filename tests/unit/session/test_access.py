"""Access: deny by default, and nobody can mint more than they have (ACC-2, ACC-3)."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import Refused
from holdfast.protocol import wire
from holdfast.session import program
from holdfast.session.access import (
    MONEY_VERBS,
    NEEDS,
    SESSION_VERBS,
    VERBS,
    Capability,
    Principal,
    authorise,
    authorise_agent,
    full_access,
)

ALPHABET = "ab*-"
PATTERNS = ["".join(p) for n in range(4) for p in itertools.product(ALPHABET, repeat=n)]
SESSIONS = ["".join(p) for n in range(1, 5) for p in itertools.product("ab-", repeat=n)]


def test_a_narrower_capability_never_covers_more() -> None:
    """Every pair of patterns over a small alphabet, stars in odd places included."""
    read = frozenset({"read"})
    covered = {p: frozenset(s for s in SESSIONS if Capability(p, read).covers(s)) for p in PATTERNS}
    for one, other in itertools.product(PATTERNS, repeat=2):
        if Capability(one, read).within(Capability(other, read)):
            assert covered[one] <= covered[other], f"{one!r} within {other!r}"


@given(st.text(ALPHABET, max_size=8), st.text(ALPHABET, max_size=8), st.text("ab-*", min_size=1, max_size=10))
def test_neither_do_longer_ones(one: str, other: str, session: str) -> None:
    read = frozenset({"read"})
    if Capability(one, read).within(Capability(other, read)) and Capability(one, read).covers(session):
        assert Capability(other, read).covers(session)


@given(st.frozensets(st.sampled_from(sorted(VERBS))), st.frozensets(st.sampled_from(sorted(VERBS))))
def test_no_verb_is_gained(mine: frozenset[str], theirs: frozenset[str]) -> None:
    assert Capability("a*", mine).within(Capability("*", theirs)) is (mine <= theirs)


@pytest.mark.parametrize("pattern", ["team-*", "team-a", "*"])
def test_what_should_be_within_is(pattern: str) -> None:
    read = frozenset({"read"})
    for narrower in (pattern, "team-a"):
        assert Capability(narrower, read).within(Capability(pattern, read))
    if pattern == "team-*":
        assert Capability("team-x-*", read).within(Capability(pattern, read))


@pytest.mark.parametrize(
    ("pattern", "other"), [("*", "team-*"), ("tea*", "team-*"), ("team*", "team-a"), ("other", "team-*"), ("", "a")]
)
def test_what_must_not_be_within_is_not(pattern: str, other: str) -> None:
    assert not Capability(pattern, frozenset({"read"})).within(Capability(other, frozenset({"read"})))


def test_verbs_of_different_grants_do_not_mix() -> None:
    principal = Principal(
        "user:a", "t", (Capability("a*", frozenset({"read"})), Capability("b*", frozenset({"append"})))
    )
    assert principal.may("read", "a1") and principal.may("append", "b1")
    assert not principal.may("append", "a1") and not principal.may("read", "b1")


@pytest.mark.parametrize("verb", [*sorted(VERBS), "", "READ", "*", "all"])
def test_nothing_is_granted_that_was_not(verb: str) -> None:
    nobody = Principal("user:a", "t", ())
    with pytest.raises(Refused) as refused:
        authorise(nobody, verb, "s1")
    assert refused.value.code == "auth.denied"
    everybody = Principal("user:a", "t", (Capability("*", VERBS | {verb}),))
    if verb in VERBS:
        authorise(everybody, verb, "s1")
    else:
        with pytest.raises(Refused):
            authorise(everybody, verb, "s1")


@pytest.mark.parametrize("verb", sorted(MONEY_VERBS))
def test_rights_over_money_come_by_name_only(verb: str) -> None:
    operator = Principal("user:a", "t", (Capability("*", SESSION_VERBS),))
    for principal in (operator, full_access("t", "system:a")):
        with pytest.raises(Refused, match=verb):
            authorise(principal, verb, "*")
    authorise(Principal("user:a", "t", (Capability("*", frozenset({verb})),)), verb, "*")


def test_agents_are_named_in_the_token() -> None:
    principal = Principal("agent:w", "t", (), frozenset({"writer"}))
    authorise_agent(principal, "writer")
    authorise_agent(Principal("agent:w", "t", (), frozenset({"*"})), "anything")
    for other in ("writer/sub", "write", "", "*", "Writer"):
        with pytest.raises(Refused):
            authorise_agent(principal, other)


def test_every_command_a_client_can_send_needs_a_verb() -> None:
    """An operation without a row cannot be executed; each row is one of the six verbs."""
    assert set(NEEDS.values()) <= VERBS
    for cls in wire.AnyOp.__args__:
        if issubclass(cls, wire.SessionOp):
            assert cls in NEEDS, cls
    hubs_own = {op for op in program.DECIDE if op not in wire.AnyOp.__args__}
    assert not hubs_own & NEEDS.keys(), "what only the hub may ask"
