"""The first contact: how the endpoint answers when nothing is broken. Everything else is measured against it."""

from __future__ import annotations

from typing import Final

from holdfast.audit.finding import Contact
from holdfast.audit.lab import Lab, Trial
from holdfast.audit.stream import ClientStream
from holdfast.audit.transcript import StreamEnd

ENOUGH_PIECES: Final = 4
"""Fewer pieces than this cannot be cut in their middle."""


async def measure_baseline(lab: Lab) -> None:
    """Ask a few times without breaking anything; fills in the lab's ``contact`` and ``truth``."""
    async with lab.trial() as trial:
        tab = await trial.tab("tab A")
        stream = await trial.ask(tab)
        end = await stream.finished(lab.budget.answer_s)
        lab.contact = _assess(lab, stream, end)
        if tab.proxy.connect_error:
            lab.contact.state, message = (
                "unreachable",
                f"Nobody answers at {lab.endpoint.url}: {tab.proxy.connect_error}",
            )
            lab.contact.message = lab.redactor.text(message)
        lab.contact.evidence = lab.redactor.text(stream.evidence())[:3_000]
    if lab.contact.state != "ok":
        return
    first = stream.transcript.answer
    lab.usual_chars[lab.options.prompt] = len(first)
    again = await _answer(lab, lab.options.prompt)
    lab.contact.deterministic = again == first
    if lab.contact.deterministic:
        lab.fixed_answers[lab.options.prompt] = first
        second = await _answer(lab, lab.options.second_prompt)
        if second:
            lab.fixed_answers[lab.options.second_prompt] = second


async def _answer(lab: Lab, prompt: str) -> str | None:
    async with lab.trial() as trial:
        stream = await Trial.ask(trial, await trial.tab("tab A"), prompt)
        end = await stream.finished(lab.budget.answer_s)
        complete = end.word == "complete" or (lab.is_end(end) and not end.marked)
        return stream.transcript.answer if complete else None


def _assess(lab: Lab, stream: ClientStream, end: StreamEnd) -> Contact:
    page, answer = stream.transcript, stream.transcript.answer
    state, message = "ok", ""
    if end.word == "redirect":
        state, message = "redirect", f"The endpoint redirects ({end.detail}). Name the address it redirects to."
    elif end.word == "flood":
        state, message = "flood", f"The endpoint sent {end.detail}; the audit stopped reading."
    elif end.word == "refused":
        state, message = "refused", f"The endpoint refused the request: {end.detail}"
    elif not stream.bytes and end.word == "cut":
        state, message = "unreachable", f"The endpoint could not be reached, or closed without an answer: {end.detail}"
    elif not stream.bytes:
        state, message = "hangs", "The endpoint accepted the request and sent nothing."
    elif not answer:
        state, message = _no_answer(stream, end)
    elif end.word == "silent":
        state, message = "never_ends", f"The answer did not end within {lab.budget.answer_s:g} s."
    elif end.word in ("cut", "error"):
        state, message = "refused", f"The endpoint broke off its own answer: {end.word} {end.detail}"
    elif page.texts < ENOUGH_PIECES and (unmatched := _describe_unmatched(stream)):
        state, message = "unmatched", f"{unmatched} What was answered came another way, all at once."
    elif page.texts < ENOUGH_PIECES:
        state, message = (
            "one_piece",
            "The answer came in one piece: it is not streamed, so nothing can break in its middle.",
        )
    return Contact(
        state=state,
        message=lab.redactor.text(message).strip(),
        marks_end=end.marked,
        answer_chars=len(answer),
        bytes=stream.bytes,
        pieces=page.pieces,
        took_s=round((stream.last_s or stream.opened_s) - stream.opened_s, 3),
        first_s=round(max(0.0, stream.first_s - stream.opened_s), 3),
        silence_s=round(stream.silence_s, 3),
    )


def _no_answer(stream: ClientStream, end: StreamEnd) -> tuple[str, str]:
    others, unmatched = stream.transcript.others, _describe_unmatched(stream)
    if others:
        return (
            "garbage",
            f"The endpoint sent {others} messages that this driver does not understand. Is it the right one? {unmatched}",
        )
    if stream.reader is not None and stream.reader.messages >= ENOUGH_PIECES:
        return "unmatched", unmatched or f"{stream.reader.messages} messages came, and no text in them."
    if end.word == "silent":
        return "hangs", f"The endpoint began to answer and sent no text. {unmatched}"
    return (
        "garbage" if end.word == "cut" else "empty",
        f"The endpoint answered without any text. {end.detail} {unmatched}",
    )


def _describe_unmatched(stream: ClientStream) -> str:
    """That no rule which adds text ever did, where the recipe has such rules; empty: one did."""
    reader = stream.reader
    if reader is None or not reader.messages:
        return ""
    silent = reader.unmatched_rules()
    if not silent or reader.gave_text:
        return ""
    rules = ", ".join(f"`{rule}`" for rule in silent)
    count = f"{reader.messages} message{'s' * (reader.messages > 1)}"
    return f"The recipe's text rule never matched: {rules} found nothing in {count}. Hold it against the evidence."
