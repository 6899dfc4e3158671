"""The architecture behind the failures, in the words of the durable-sessions framework."""

from __future__ import annotations

from typing import Final, NamedTuple

from holdfast.audit.finding import DETACHED, Advice, Finding


class _Pattern(NamedTuple):
    """A diagnosis holds when one of ``any_of`` failed; what failed of ``also`` supports it.

    It does not where ``unless`` holds, and only where ``only_if`` does: of such a set one passed and none failed.
    """

    name: str
    text: str
    any_of: tuple[str, ...]
    also: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    only_if: tuple[str, ...] = ()


_CUT_OFF: Final = ("resilient.resume", "resilient.half_open", "resilient.proxy_timeout")

PATTERNS: Final = (
    _Pattern(
        "Single-connection trap",
        "The answer lives in the connection that asked for it: when that breaks, what was not read yet is lost.",
        _CUT_OFF,
        ("continuity.middle", "continuity.reload"),
        unless=DETACHED,
    ),
    _Pattern(
        "No way back",
        "The answer goes on without its reader, but a reader whose line broke does not get exactly the rest of it.",
        _CUT_OFF,
        ("continuity.middle", "continuity.reload"),
        only_if=DETACHED,
    ),
    _Pattern(
        "Single-surface session",
        "The conversation belongs to one page: a second tab, another device or a reload does not get the same.",
        ("continuity.middle", "continuity.from_start", "continuity.other_device", "continuity.after_end",
         "continuity.reload", "continuity.order"),
    ),
    _Pattern(
        "Cancel/disconnect ambiguity",
        "A lost connection and a wish to stop look the same to the server: either a lift cancels the answer, or a stop"
        " does not.",
        (*DETACHED, "control.stop"),
        ("control.stop_after_reload", "control.stop_both"),
        unless=DETACHED,
    ),
    _Pattern(
        "No stop that stops",
        "An answer goes on without its readers, as it should, and nothing that people can say stops it so that all of"
        " them are told.",
        ("control.stop",),
        ("control.stop_after_reload", "control.stop_both"),
        only_if=DETACHED,
    ),
    _Pattern(
        "Agent-side replay",
        "What came before is rebuilt by whoever made it, from what it remembers: gaps and repeats appear where its memory"
        " and the client's disagree.",
        ("resilient.no_repeat", "resilient.agent_killed"),
        ("resilient.proxy_timeout", "resilient.half_open"),
    ),
    _Pattern(
        "Orchestrator relay",
        "Sub-agents speak through their orchestrator. It is the bottleneck for what is seen, and when it dies nobody"
        " knows what they did.",
        ("agents.direct", "agents.orchestrator_dies"),
    ),
    _Pattern(
        "Silence for an end",
        "The end of an answer is not said, so a proxy that closes in good order makes half an answer look whole.",
        ("resilient.end_marked",),
    ),
    _Pattern(
        "Control outside the conversation",
        "What people say to a running answer is not part of the conversation: it is lost, seen by one tab only, or bound"
        " to the connection that said it.",
        ("control.steer", "control.new_message", "control.approval_after_reload"),
        ("control.stop_both", "control.stop_after_reload"),
    ),
    _Pattern(
        "Buffers per reader",
        "The server keeps, for each slow reader, what that reader has not read: memory grows, or pieces are dropped.",
        ("resilient.slow_reader",),
    ),
    _Pattern(
        "Shared state between conversations",
        "Two conversations at the same time disturb each other.",
        ("control.concurrent",),
    ),
)  # fmt: skip


def diagnose(findings: list[Finding]) -> list[Advice]:
    """Which of the known architectures the failures point to, the best supported first."""
    failed = {finding.id for finding in findings if finding.verdict == "fail"}
    passed = {finding.id for finding in findings if finding.verdict == "pass"}
    found = []
    for pattern in PATTERNS:
        if _holds(pattern.unless, passed, failed) or (pattern.only_if and not _holds(pattern.only_if, passed, failed)):
            continue
        if failed & set(pattern.any_of):
            because = [id_ for id_ in (*pattern.any_of, *pattern.also) if id_ in failed]
            found.append(Advice(name=pattern.name, text=pattern.text, because=because))
    return sorted(found, key=lambda advice: -len(advice.because))


def _holds(ids: tuple[str, ...], passed: set[str], failed: set[str]) -> bool:
    return bool(passed & set(ids)) and not failed & set(ids)
