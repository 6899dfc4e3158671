"""What a request adds to a conversation: its last user message. Clients send the whole history again each time."""

from __future__ import annotations

import re
from typing import Any, Final

from holdfast.gateway.incoming import INSTRUCTING, Incoming
from holdfast.gateway.wires import RESPONSES
from holdfast.protocol import limits

_TASK: Final = re.compile(r"\A\s*#{2,3} Task:", re.IGNORECASE)
"""How Open WebUI begins what it asks of a model behind the person's back."""
_TASKS: Final = (
    ("follow_ups", "follow_ups"),
    ("follow-up", "follow_ups"),
    ("tags", "tags"),
    ("title", "title"),
    ("quer", "queries"),
)


def last_words(incoming: Incoming) -> tuple[str, str]:
    """The role and text of the last message that is no instruction; empty texts where there are none."""
    messages = incoming.value("input" if incoming.wire is RESPONSES else "messages")
    if isinstance(messages, str):
        return "user", messages[: limits.TEXT_CHARS]
    turns = [one for one in messages if isinstance(one, dict)] if isinstance(messages, list) else []
    while turns and turns[-1].get("role") in INSTRUCTING:  # some clients put their instructions last
        turns.pop()
    last = turns[-1] if turns else {}
    role = str(last.get("role") or last.get("type") or "")
    content = last.get("content")
    if isinstance(content, list):
        if any(isinstance(part, dict) and part.get("type") == "tool_result" for part in content):
            role = "tool"
        content = "\n".join(
            str(part.get("text", ""))
            for part in content
            if isinstance(part, dict) and "text" in str(part.get("type", ""))
        )
    return role, (content if isinstance(content, str) else "")[: limits.TEXT_CHARS]


def behind_the_back(words: str) -> dict[str, Any] | None:
    """The answer to what a chat application asks for itself, a title, tags, follow-ups or searches: such a request never
    runs an agent. None for what a person said."""
    if not _TASK.match(words):
        return None
    task = words[:2_000].lower()
    kind = next((kind for word, kind in _TASKS if word in task), "")
    if kind == "title":
        return {"title": _title(words)}
    return {kind: []} if kind else {}


def _title(words: str) -> str:
    """The first words that the person said, from the history inside the request."""
    found = re.search(
        r"<chat_history>\s*USER:\s*(.+?)(?:\nASSISTANT:|</chat_history>)", words, re.DOTALL | re.IGNORECASE
    )
    plain = " ".join((found.group(1) if found else "Chat").split())
    return (
        plain
        if len(plain) <= limits.GATEWAY_TITLE_CHARS
        else plain[: limits.GATEWAY_TITLE_CHARS].rsplit(" ", 1)[0] + "…"
    )
