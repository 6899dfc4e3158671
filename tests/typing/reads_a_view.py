"""A program that reads: what it gets has types that say what is there. Checked by ``test_user_code.py``, never run."""

from __future__ import annotations

from typing import Any, Literal, assert_type

import holdfast
from holdfast.client import Run, Session, SessionList, Snapshot, View
from holdfast.errors import Code
from holdfast.types import (
    ApprovalItem,
    HistoryPage,
    Item,
    MessageItem,
    RunEntry,
    RunStatus,
    SessionRow,
    ToolItem,
    ViewData,
)


def texts(view: View) -> list[str]:
    assert_type(view.items, list[Item])
    assert_type(view.runs, dict[str, RunEntry])
    assert_type(view.branch["head"], str | None)
    assert_type(view.export(), ViewData)
    return [item["text"] for item in view.items if item["kind"] == "message"]


def describe(item: Item) -> str:
    if item["kind"] == "message":
        assert_type(item, MessageItem)
        assert_type(item["status"], Literal["open", "complete", "cut"])
        return f"{item['role']}: {item['text']}"
    if item["kind"] == "tool":
        assert_type(item, ToolItem)
        return f"{item['name']}({item['args']})"
    if item["kind"] == "approval":
        assert_type(item, ApprovalItem)
        return f"{item['tool']}: {item['status']}"
    return item["actor"]  # every item has one


def misread(item: Item, run: RunEntry) -> None:
    item["text"]  # type: ignore[typeddict-item]  # not every item has one
    item["kind"] == "mesage"  # type: ignore[comparison-overlap]  # noqa: B015  # there is no such kind
    run["status"] == "done"  # type: ignore[comparison-overlap]  # noqa: B015  # nor such a status
    run["colour"]  # type: ignore[typeddict-item]
    run["error"]["reason"]  # type: ignore[typeddict-item]


async def client(session: Session) -> None:
    view = await session.state()
    assert_type(view, View)
    run = await session.send("hello", agent="writer")
    assert_type(run, Run)
    assert_type(await run.text(), str)
    ended = await run.finished()
    assert_type(ended, RunEntry)
    assert_type(ended["status"], RunStatus)
    if "error" in ended:
        assert_type(ended["error"]["code"], str)
    assert_type(await session.history(view.older), HistoryPage)
    assert_type((await session.create(title="t"))["incarnation"], str)
    assert_type(await session.cancel(scope="mine"), list[str])
    async for entry in session.events():
        if isinstance(entry, Snapshot):
            assert_type(entry.view, ViewData)
        else:
            assert_type(entry, holdfast.Event)
            assert_type(entry.data, dict[str, Any])


def lists(sessions: SessionList) -> int:
    assert_type(sessions.rows, list[SessionRow])
    return sum(row["card"].get("approvals", 0) for row in sessions.rows if row["unread"])


def errors(error: holdfast.HoldfastError) -> None:
    assert_type(error.code, Code)
    if error.code == "run.ended":
        raise holdfast.Refused("run.state", "too late")
    error.code == "run.endd"  # type: ignore[comparison-overlap]  # noqa: B015
    holdfast.Refused("run.stat")  # type: ignore[arg-type]
    holdfast.nothing  # type: ignore[attr-defined]  # noqa: B018
