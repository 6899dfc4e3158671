"""The librarian: answers questions about this project from its own documents.

It fans out to one sub-agent per document set. They search at the same time and stream what they quote, with sources,
straight into the session under their own names; then the librarian answers from the best of it, and heeds what people
put in while it works.
"""

from __future__ import annotations

import asyncio
import os
import re

from holdfast.agents.output import TextOut
from holdfast.agents.run import RunContext
from holdfast.demo.corpus import SETS, Corpus, Passage, best_sentences, terms
from holdfast.demo.models import Model

PACE_S = float(os.environ.get("HOLDFAST_DEMO_PACE", "0.03"))
"""Seconds between words: the pace of a person reading along. 0 in tests."""

_MOST_SOURCES = 4


class Librarian:
    """The agent, with its index and, where a key is set, its model."""

    def __init__(self, corpus: Corpus, model: Model | None, pace_s: float = PACE_S) -> None:
        self.corpus = corpus
        self.model = model
        self.pace_s = pace_s

    async def __call__(self, run: RunContext) -> None:
        """Answer one input."""
        question = run.input.text
        async with asyncio.TaskGroup() as group:
            searches = [group.create_task(self.search(run, part, question)) for part in SETS]
        found = [passage for search in searches for passage in search.result()]
        found.sort(key=lambda passage: -passage.score)
        await self.answer(run, question, found)

    async def search(self, run: RunContext, part: str, question: str) -> list[Passage]:
        """One sub-agent: search one set, quote what it finds."""
        passages: list[Passage] = []
        async with run.sub(part, input={"question": question, "set": part}) as child:
            async with child.step(f"searching {part}"):
                passages = await asyncio.to_thread(self.corpus.search, part, question)
                await asyncio.sleep(self.pace_s * 8)
            async with child.message() as out:
                if not passages:
                    await self.write_slowly(out, f"Nothing in {part} is about that.")
                for number, passage in enumerate(passages, 1):
                    await self.write_slowly(out, f"> {best_sentences(passage, question)}\n\n")
                    await out.source(
                        title=passage.title,
                        uri=passage.uri,
                        quote=best_sentences(passage, question, 1),
                        score=round(passage.score, 2),
                    )
                    if number < len(passages):
                        await asyncio.sleep(self.pace_s * 6)
        return passages

    async def answer(self, run: RunContext, question: str, found: list[Passage]) -> None:
        """Write the answer, from a model where there is one, else from the passages themselves."""
        async with run.message() as out:
            for steer in run.take_steers():
                question, found = self.apply_steer(question, steer.text, found)
            if self.model is not None:
                passages = "\n\n".join(f"[{p.uri}] {p.body[:1_500]}" for p in found[:_MOST_SOURCES])
                async for piece in self.model.stream(run, question, passages):
                    await out.write(piece)
            else:
                await self.compose(run, out, question, found)
            for passage in found[:_MOST_SOURCES]:
                await out.source(title=passage.title, uri=passage.uri, score=round(passage.score, 2))

    async def compose(self, run: RunContext, out: TextOut, question: str, found: list[Passage]) -> None:
        """An answer without a model: the best sentences of the best passages, narrowed by every steer that comes."""
        if not found:
            about = ", ".join(terms(question)) or "that"
            await self.write_slowly(
                out, f"The documents here do not speak about {about}. Ask about resume, leases, cancel, approvals …"
            )
            return
        left = found[:_MOST_SOURCES]
        await self.write_slowly(out, f"From {len(left)} places in the documents:\n\n")
        written = 0
        while left:
            for steer in run.take_steers():
                question, left = self.apply_steer(question, steer.text, left)
                await self.write_slowly(out, f"*Heeding “{steer.text.strip()[:80]}”.*\n\n")
                if not left:
                    break
            if not left:
                break
            passage = left.pop(0)
            written += 1
            await self.write_slowly(
                out,
                f"{written}. **{passage.title}.** {best_sentences(passage, question, 3)} ({passage.uri.partition('#')[0]})\n\n",
            )

    def apply_steer(self, question: str, steer: str, left: list[Passage]) -> tuple[str, list[Passage]]:
        """What is left to say after a steer: nothing when asked to be brief, else what fits the new words best."""
        if re.search(r"\b(brief|short|enough|wrap up|finish)", steer.lower()):
            return question, left[:0]
        again = {p.uri: p for part in SETS for p in self.corpus.search(part, steer)}
        narrowed = sorted(again.values(), key=lambda passage: -passage.score)[: max(2, len(left))]
        return f"{question} {steer}", narrowed or left

    async def write_slowly(self, out: TextOut, text: str) -> None:
        """Write word by word at the pace of a reader."""
        for word in re.findall(r"\S+\s*|\s+", text):
            await out.write(word)
            if self.pace_s:
                await asyncio.sleep(self.pace_s)
