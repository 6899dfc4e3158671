"""What people ask of the inbox: said once, served by REST and by the command line. Everybody may see their own items; those of
others whoever has the verb ``audit`` or ``spend``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.actions import ActionCall, DomainAction
from holdfast.governance.directory.model import name_key
from holdfast.governance.inbox.model import InboxItem
from holdfast.governance.inbox.role_brief import role_brief
from holdfast.governance.inbox.service import OwnerInbox
from holdfast.governance.workflows.service import Workflows

ROOT: Final = "/v1/x/governance/inbox"
EVERYBODY: Final = "*"
"""As ``person``: what everybody has to do."""


class InboxDesk(NamedTuple):
    """The inbox, and the workflows that it is about."""

    inbox: OwnerInbox
    workflows: Workflows


def _me(call: ActionCall) -> str:
    return call.by.partition(":")[2] or call.by


def _is_me(desk: InboxDesk, call: ActionCall, name: str) -> bool:
    """Whether a name is one of whoever asks."""
    return bool(name) and name_key(name) in (desk.inbox.names(call.tenant, _me(call)) or ())


def _sees_all(call: ActionCall) -> bool:
    principal = call.principal
    return principal is None or principal.may("audit", "*") or principal.may("spend", "*")


def _person(desk: InboxDesk, call: ActionCall) -> str | None:
    """Whose items are asked for: one's own, unless somebody else is named; None for everybody.

    Raises:
        Refused: ``auth.denied`` for those of others.
    """
    wanted = call.facts.get("person") or _me(call)
    if not _is_me(desk, call, wanted) and not _sees_all(call):
        raise Refused("auth.denied", "what others have to do is shown with the verb audit or spend")
    return None if wanted == EVERYBODY else wanted


def _may_see(desk: InboxDesk, call: ActionCall, item: InboxItem) -> InboxItem:
    if not _is_me(desk, call, item.person) and not _sees_all(call):
        raise Refused(
            "inbox.not_found", f"there is no item {item.id!r:.40}"
        )  # whether there is one is nobody's business
    return item


def _limit(call: ActionCall, default: int, most: int) -> int:
    text = call.facts.get("limit") or ""
    return min(most, int(text)) if text.isascii() and text.isdigit() and len(text) < 6 else default


async def listed(desk: InboxDesk, call: ActionCall) -> Any:
    """What somebody has to do, what stops something first."""
    limit = _limit(call, limits.INBOX_SHOWN, limits.INBOX_SHOWN_MOST)
    page = await desk.inbox.listed(call.tenant, _person(desk, call), limit, call.facts.get("workflow", ""))
    return msgspec.to_builtins(page)


async def shown(desk: InboxDesk, call: ActionCall) -> Any:
    """One item; from when its person sees it first it is in hand."""
    ident = call.facts["item"]
    _may_see(desk, call, await desk.inbox.item(call.tenant, ident))
    return {"item": msgspec.to_builtins(await desk.inbox.item(call.tenant, ident, _me(call)))}


async def done(desk: InboxDesk, call: ActionCall) -> Any:
    """Compute now whether an item is done."""
    ident = call.facts["item"]
    _may_see(desk, call, await desk.inbox.item(call.tenant, ident))
    item, why = await desk.inbox.done(call.tenant, ident, call.by)
    return {"item": msgspec.to_builtins(item), "closed": item.closed_ms is not None, "why": why}


async def history(desk: InboxDesk, call: ActionCall) -> Any:
    """Closed items, the last first."""
    limit = _limit(call, limits.INBOX_SHOWN, limits.INBOX_HISTORY_ROWS)
    found = await desk.inbox.history(call.tenant, _person(desk, call), call.facts.get("workflow", ""), limit)
    return {"items": msgspec.to_builtins(found)}


async def notices(desk: InboxDesk, call: ActionCall) -> Any:
    """What was told, the newest first, and what became of it."""
    limit = _limit(call, limits.INBOX_SHOWN, limits.INBOX_HISTORY_ROWS)
    return {"notices": msgspec.to_builtins(await desk.inbox.notices(call.tenant, _person(desk, call), limit))}


async def brief_of(desk: InboxDesk, call: ActionCall) -> Any:
    """The hours that a workflow needs beside those that its owner has, and the role that is missing."""
    name = call.facts["workflow"]
    found = desk.workflows.current(call.tenant, name)
    mine = found is not None and any(_is_me(desk, call, name) for name in (found.owner, found.deputy))
    if found is None or not (mine or _sees_all(call)):
        raise Refused("workflow.not_found", f"there is no workflow {name!r:.140}")
    load = await desk.inbox.load(
        call.tenant, name, found.manifest.hours.owner_week if found.manifest is not None else 0.0
    )
    return {"load": msgspec.to_builtins(load), "short_minutes": load.short_minutes, "brief": role_brief(found, load)}


LIST: Final = DomainAction(
    "list", "GET", "", "", "Inbox: what somebody has to do", listed, query=("person", "workflow", "limit")
)
HISTORY: Final = DomainAction(
    "history", "GET", "/history", "", "Inbox: what was done, and whether in time", history,
    query=("person", "workflow", "limit"),
)  # fmt: skip
NOTICES: Final = DomainAction(
    "notices", "GET", "/notices", "", "Inbox: who was told of what", notices, query=("person", "limit")
)
BRIEF: Final = DomainAction(
    "brief",
    "GET",
    "/brief/{workflow}",
    "",
    "Inbox: hours needed beside hours allotted, as the brief of a role",
    brief_of,
)
SHOW: Final = DomainAction("show", "GET", "/items/{item}", "", "Inbox: one item", shown)
DONE: Final = DomainAction("done", "POST", "/items/{item}/done", "", "Inbox: compute now whether an item is done", done)
ACTIONS: Final[Sequence[DomainAction[InboxDesk]]] = (LIST, HISTORY, NOTICES, BRIEF, SHOW, DONE)
"""All of them."""
