"""The clerk: writes notes to a file, and only when a person lets it, with exactly what the person saw."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from holdfast.agents.errors import ToolDenied
from holdfast.agents.output import TextOut
from holdfast.agents.run import RunContext
from holdfast.demo.librarian import PACE_S
from holdfast.demo.models import Model

_SYSTEM = "You are a clerk. Rewrite what you are given as one short Markdown list item. Answer with that line only."
_NOTE_CHARS = 2_000


class Clerk:
    """The agent, and the folder its notes go to."""

    def __init__(self, folder: Path, model: Model | None, pace_s: float = PACE_S) -> None:
        self.folder = folder
        self.model = model
        self.pace_s = pace_s

    async def __call__(self, run: RunContext) -> None:
        """Propose a note, ask, write it, say so. Every step may be repeated by a later attempt without harm."""
        args = {"file": "notes.md", "text": await self.draft(run)}
        async with run.message(key="proposal") as out:
            if not out.replayed:
                await self.write_slowly(out, f"I would add this to `{args['file']}`. May I?")
        try:
            written = await run.gated_tool("write_notes", args, self.write, wait=True)
        except ToolDenied as denied:
            kind, _, name = denied.approval.by.partition(":")
            why = f"{name} said no" if kind in ("user", "agent") else "nobody said yes in time"
            await run.say(f"Then not: {why}. Nothing was written.", key="denied")
            return
        async with run.message(key="done") as out:
            await self.write_slowly(out, f"Done: {written['bytes']} bytes added to `{written['file']}`, once.")

    async def draft(self, run: RunContext) -> str:
        """The note. A model says it differently each time, so its draft is a journalled call: every attempt has the
        same, and what was approved is what is written."""
        plain = self.note(run)
        model = self.model
        if model is None:
            return plain

        async def draft_note(text: str) -> str:
            return "".join([piece async for piece in model.stream(run, text, "", system=_SYSTEM)]).strip()

        drafted = await run.tool("draft_note", {"text": plain}, draft_note, idempotent=True)
        return str(drafted)[:_NOTE_CHARS] or plain

    def note(self, run: RunContext) -> str:
        """What is worth keeping: what was asked for, or the last answer of the conversation."""
        request = re.sub(
            r"^\s*(please\s+)?(write|note|take|save|keep)(\s+(a|this|that|it|note|notes|down|of))*\s*:?\s*",
            "",
            run.input.text,
            flags=re.I,
        )
        answers = [m["content"] for m in run.history if m["role"] == "assistant"]
        if answers and re.search(r"\b(this|that|it|answer|above)\b", request.lower()):
            request = answers[-1]
        return f"- {(request.strip() or run.input.text.strip())[:_NOTE_CHARS]}"

    async def write(self, file: str, text: str) -> dict[str, object]:
        """Append to the notes; the tool itself."""
        path = self.folder / Path(file).name
        line = f"{text}\n"

        def append() -> None:
            self.folder.mkdir(parents=True, exist_ok=True)
            with path.open("a") as notes:
                notes.write(line)

        await asyncio.to_thread(append)
        return {"file": path.name, "bytes": len(line.encode())}

    async def write_slowly(self, out: TextOut, text: str) -> None:
        """Write word by word."""
        for word in re.findall(r"\S+\s*", text):
            await out.write(word)
            if self.pace_s:
                await asyncio.sleep(self.pace_s)
