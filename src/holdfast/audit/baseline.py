"""The first contact: how the endpoint answers when nothing is broken. Everything else is measured against it."""

from __future__ import annotations

from typing import Final

from holdfast.audit.finding import Contact
from holdfast.audit.lab import Lab, Scene
from holdfast.audit.stream import Stream
from holdfast.audit.transcript import End

ENOUGH_PIECES: Final = 4
"""Fewer pieces than this cannot be cut in their middle."""


async def meet(lab: Lab) -> None:
    """Ask a few times without breaking anything; fills in the lab's ``contact`` and ``truth``."""
    async with lab.scene() as scene:
        tab = await scene.tab("tab A")
        stream = await scene.ask(tab)
        end = await stream.finished(lab.budget.answer_s)
        lab.contact = _judge(lab, stream, end)
        if tab.proxy.unreached:
            lab.contact.state, told = "unreachable", f"Nobody answers at {lab.endpoint.url}: {tab.proxy.unreached}"
            lab.contact.told = lab.redactor.text(told)
        lab.contact.evidence = lab.redactor.text(stream.evidence())[:3_000]
    if lab.contact.state != "ok":
        return
    first = stream.transcript.answer
    lab.usual[lab.options.prompt] = len(first)
    again = await _answer(lab, lab.options.prompt)
    lab.contact.deterministic = again == first
    if lab.contact.deterministic:
        lab.truth[lab.options.prompt] = first
        second = await _answer(lab, lab.options.second_prompt)
        if second:
            lab.truth[lab.options.second_prompt] = second


async def _answer(lab: Lab, prompt: str) -> str | None:
    async with lab.scene() as scene:
        stream = await Scene.ask(scene, await scene.tab("tab A"), prompt)
        end = await stream.finished(lab.budget.answer_s)
        whole = end.word == "complete" or (lab.over(end) and not end.said)
        return stream.transcript.answer if whole else None


def _judge(lab: Lab, stream: Stream, end: End) -> Contact:
    page, answer = stream.transcript, stream.transcript.answer
    state, told = "ok", ""
    if end.word == "redirect":
        state, told = "redirect", f"The endpoint redirects ({end.detail}). Name the address it redirects to."
    elif end.word == "flood":
        state, told = "flood", f"The endpoint sent {end.detail}; the audit stopped reading."
    elif end.word == "refused":
        state, told = "refused", f"The endpoint refused the request: {end.detail}"
    elif not stream.bytes and end.word == "cut":
        state, told = "unreachable", f"The endpoint could not be reached, or closed without an answer: {end.detail}"
    elif not stream.bytes:
        state, told = "hangs", "The endpoint accepted the request and sent nothing."
    elif not answer:
        state, told = _no_answer(stream, end)
    elif end.word == "silent":
        state, told = "never_ends", f"The answer did not end within {lab.budget.answer_s:g} s."
    elif end.word in ("cut", "error"):
        state, told = "refused", f"The endpoint broke off its own answer: {end.word} {end.detail}"
    elif page.texts < ENOUGH_PIECES and (unread := _never_matched(stream)):
        state, told = "unmatched", f"{unread} What was answered came another way, all at once."
    elif page.texts < ENOUGH_PIECES:
        state, told = (
            "one_piece",
            "The answer came in one piece: it is not streamed, so nothing can break in its middle.",
        )
    return Contact(
        state=state, told=lab.redactor.text(told).strip(), marks_end=end.said, answer_chars=len(answer),
        bytes=stream.bytes, pieces=page.pieces, took_s=round((stream.last_s or stream.opened_s) - stream.opened_s, 3),
        first_s=round(max(0.0, stream.first_s - stream.opened_s), 3), silence_s=round(stream.silence_s, 3),
    )  # fmt: skip


def _no_answer(stream: Stream, end: End) -> tuple[str, str]:
    others, unread = stream.transcript.others, _never_matched(stream)
    if others:
        return (
            "garbage",
            f"The endpoint sent {others} messages that this driver does not understand. Is it the right one? {unread}",
        )
    if stream.reader is not None and stream.reader.messages >= ENOUGH_PIECES:
        return "unmatched", unread or f"{stream.reader.messages} messages came, and no text in them."
    if end.word == "silent":
        return "hangs", f"The endpoint began to answer and sent no text. {unread}"
    return "garbage" if end.word == "cut" else "empty", f"The endpoint answered without any text. {end.detail} {unread}"


def _never_matched(stream: Stream) -> str:
    """That no rule which adds text ever did, where the recipe has such rules; empty: one did."""
    reader = stream.reader
    if reader is None or not reader.messages:
        return ""
    silent = reader.silent()
    if not silent or reader.gave_text:
        return ""
    rules = ", ".join(f"`{rule}`" for rule in silent)
    count = f"{reader.messages} message{'s' * (reader.messages > 1)}"
    return f"The recipe's text rule never matched: {rules} found nothing in {count}. Hold it against the evidence."
