"""The view: what a person sees of a session, folded from its events. Its shape is stated in PROTOCOL.md, section 6.

The hub keeps one per hot session to answer joins, clients keep one to render. It is plain JSON data plus indexes that
can be rebuilt from it, so ``View.load(view.export())`` is the same view. ``fold.View`` adds how events change it, and the conversation it shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Self

from holdfast.protocol.codec import encode, utf16_len
from holdfast.protocol.events import Event
from holdfast.protocol.items import Item
from holdfast.protocol.view_data import BranchEntry, HandoffEntry, PageData, RunEntry, ViewData

FOLD_VERSION: Final = 1
ENDED: Final = frozenset({"completed", "failed", "cancelled", "lost"})
UNFINISHED: Final = frozenset({"open", "called", "pending"})
"""Item statuses that the end of the item's run changes."""

_ITEM_COST: Final = 160  # bytes of an item's JSON beyond its text, roughly

Entry = Any
"""An item while it is folded: any kind, its fields by name. Whoever reads has ``items.Item``."""


def withdrawn(item: Entry, run: RunEntry) -> bool:
    """Whether it is a text of a lost attempt which the next attempt says anew: it does not count as said (RUN-8)."""
    if item["kind"] not in ("message", "reasoning") or item.get("kept"):
        return False
    return any(loss["attempt"] == item.get("attempt") for loss in run.get("losses", ()))


class OpenText:
    """A text that still grows. Deltas are collected and joined only when somebody looks."""

    __slots__ = ("field", "item", "length", "parts", "size")

    def __init__(self, item: Entry, field: str) -> None:
        self.item = item
        self.field = field
        self.parts: list[str] = [item[field]]
        self.length: int = item["length"]
        self.size = len(self.parts[0])

    def grow(self, offset: int | None, delta: object) -> int | None:
        """Add a delta; answers its characters, or None when it does not begin where the text ends (FOLD-3)."""
        if offset is not None and offset != self.length:
            return None
        if type(delta) is not str:
            return 0
        size = len(delta)
        self.parts.append(delta)
        self.size += size
        self.length += size if delta.isascii() else utf16_len(delta)
        return size

    def after(self, start: int) -> str:
        """The text from a character on; costs what is new."""
        missing, at = self.size - start, len(self.parts)
        while missing > 0 and at > 0:
            at -= 1
            missing -= len(self.parts[at])
        return "".join(self.parts[at:])[-missing:]

    def flush(self) -> None:
        """Make the item hold everything received."""
        if len(self.parts) > 1:
            self.parts = ["".join(self.parts)]
        self.item[self.field] = self.parts[0]
        self.item["length"] = self.length


class ViewState:
    """The folded state of one session.

    Attributes:
        items: messages, reasoning, tools, steps, activities, approvals and steers, in the order of their first event.
        runs: every known run by id, in the order they were queued.
        branch: ``{head, runs, version}``: which branch is shown.
        older: number of history pages before ``items``.
        size: rough bytes of the items' JSON, for windowing.
    """

    def __init__(self) -> None:
        self.title = ""
        self.agent = ""
        self.meta: dict[str, Any] = {}
        self.state: Any = {}
        self.items: list[Item] = []
        self.runs: dict[str, RunEntry] = {}
        self.branch: BranchEntry = {"head": None, "runs": {}, "version": 0}
        self.handoff: HandoffEntry | None = None
        self.older = 0
        self.size = 0
        self.by_id: dict[tuple[str, str], Entry] = {}
        self.open: dict[tuple[str, str], OpenText] = {}
        self.unfinished: dict[str | None, list[Entry]] = {}

    # --- growing
    def add(self, event: Event, kind: str, ident: str, **fields: Any) -> Entry:
        """Append an item that begins with this event."""
        item: Entry = {"kind": kind, "id": ident, "seq": event.seq, "ts": event.ts, "actor": event.actor, **fields}
        if event.run is not None:
            item["run"] = event.run
            if event.attempt is not None:
                item["attempt"] = event.attempt
            run = self.runs.get(event.run)
            if run is not None and "input" in run:
                item["turn"] = run["input"]
        self.items.append(item)
        self.size += _ITEM_COST
        self._index(item)
        return item

    def _index(self, item: Entry) -> None:
        """Index an item."""
        self.by_id[item["kind"], item["id"]] = item
        status = item.get("status")
        if status in UNFINISHED:
            self.unfinished.setdefault(item.get("run"), []).append(item)
            field = {"message": "text", "reasoning": "text", "tool": "args"}.get(item["kind"])
            if status == "open" and field:
                self.open[item["kind"], item["id"]] = OpenText(item, field)

    def reopen(self, item: Entry, attempt: int | None) -> None:
        """A tool call that was cut, or waited for people, is made again."""
        item.pop("approval", None)
        item.pop("paused", None)
        unfinished = self.unfinished.get(item.get("run"), [])
        unfinished[:] = [other for other in unfinished if other is not item]
        item.update(args="", length=0, status="open")
        if attempt is not None:
            item["attempt"] = attempt
        self._index(item)

    def mark_asked(self, item: Entry, **about: str) -> None:
        """People are asked about a tool call, also about one that a lost attempt left: it waits for them."""
        item.update(about)
        if item["status"] == "cut":
            item["status"] = "called"
            self._index(item)

    def close(self, kind: str, ident: str, status: str, *, is_kept: bool = False) -> None:
        """An open text is complete. ``is_kept``: it counts as said also when its attempt is lost (RUN-8)."""
        text = self.open.pop((kind, ident), None)
        if text is not None:
            text.flush()
            text.item["status"] = status
            if is_kept:
                text.item["kept"] = True

    def finish_items(self, run: str, *, pending: bool) -> None:
        """The run ended (``pending``), waits, or lost an attempt: nothing of it stays open (FOLD-4), but a tool call that
        people were asked about and that was not made since."""
        unfinished = []
        for item in self.unfinished.pop(run, []):
            if not pending and item["status"] == "called" and ("approval" in item or "paused" in item):
                unfinished.append(item)
            elif item["status"] in ("open", "called"):
                self.close(item["kind"], item["id"], "cut")
                item["status"] = "cut"
            elif item["status"] == "pending" and pending:
                item["status"] = "expired" if item["kind"] == "approval" else "dropped"
            elif item["status"] == "pending":
                unfinished.append(item)
        if unfinished:
            self.unfinished[run] = unfinished

    # --- in and out
    def export(self) -> ViewData:
        """The view as JSON data. It shares its parts with the view: encode or copy it before the next ``apply``."""
        for text in self.open.values():
            text.flush()
        return {
            "fold": FOLD_VERSION,
            "title": self.title,
            "agent": self.agent,
            "meta": self.meta,
            "state": self.state,
            "items": self.items,
            "runs": self.runs,
            "branch": self.branch,
            "handoff": self.handoff,
            "older": self.older,
        }

    @classmethod
    def load(cls, data: Mapping[str, Any]) -> Self:
        """The view exported as ``data`` (a ``ViewData``), which it takes over. Raises ``ValueError`` for another fold version (FOLD-7)."""
        if data.get("fold") != FOLD_VERSION:
            raise ValueError(f"view of fold version {data.get('fold')!r}; this is {FOLD_VERSION}")
        view = cls()
        view.title, view.agent, view.meta = data["title"], data["agent"], data["meta"]
        view.state, view.items, view.runs = data["state"], data["items"], data["runs"]
        view.branch, view.handoff, view.older = data["branch"], data["handoff"], data["older"]
        for item in view.items:
            view._index(item)
            view.size += len(encode(item))
        return view

    # --- windowing (SUB-5)
    def trim(self, max_bytes: int) -> PageData | None:
        """Take the oldest finished items out until about ``max_bytes`` remain; they become one history page.

        Items of live runs, and everything after the first of them, stay. Returns ``{items, runs}`` or None when
        nothing could go. The view's ``older`` counts the page.
        """
        self.export()
        sizes = [len(encode(item)) for item in self.items]
        self.size, count = sum(sizes), 0
        for item, size in zip(self.items, sizes, strict=True):
            if self.size <= max_bytes or not self._is_finished(item):
                break
            self.size -= size
            count += 1
        if not count:
            return None
        page_items, self.items = self.items[:count], self.items[count:]
        first_seq = self.items[0]["seq"] if self.items else page_items[-1]["seq"] + 1
        runs = {i: r for i, r in self.runs.items() if r["status"] in ENDED and r["seq"] < first_seq}
        for item in page_items:
            del self.by_id[item["kind"], item["id"]]
            self.branch["runs"].pop(item["id"], None)
        for ident in runs:
            del self.runs[ident]
        self.older += 1
        return {"items": page_items, "runs": runs}

    def _is_finished(self, item: Entry) -> bool:
        run = self.runs.get(item.get("run", ""))
        if item.get("status") in UNFINISHED or (run is not None and run["status"] not in ENDED):
            return False
        return not any(r["status"] not in ENDED and r.get("input") == item["id"] for r in self.runs.values())

    # --- looking
    def text_after(self, message: str, start: int) -> str:
        """A message's text from a character on, at the cost of what is new also while it grows."""
        text = self.open.get(("message", message))
        return text.after(start) if text is not None else str(self.by_id["message", message]["text"][start:])

    def root(self, run: str) -> str:
        """The topmost known ancestor of a run."""
        while (record := self.runs.get(run)) is not None and record.get("parent") in self.runs:
            run = record["parent"]
        return run

    def completed_messages(self, run: str) -> list[str]:
        """Ids of the messages that a run has completed."""
        return [
            i["id"] for i in self.items if i["kind"] == "message" and i.get("run") == run and i["status"] == "complete"
        ]
