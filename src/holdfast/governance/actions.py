"""What people and programs ask of a domain: said once as data, served by REST and by the command line.

An action that is asked over REST has passed the server's doors: its verb was asked of the one access function. On the
command line it works on the store itself, so whoever may open the store may do everything.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from holdfast.errors import Refused
from holdfast.extensions import ExtensionRoute, Principal, RouteCall
from holdfast.protocol import limits

S = TypeVar("S")


class ActionCall(NamedTuple):
    """One request.

    Attributes:
        by: the actor who asks.
        facts: parameters of the path and of the query.
        body: what the action's ``body`` makes of it.
        principal: who asks over REST; None on the command line.
    """

    by: str
    tenant: str
    facts: Mapping[str, str]
    body: Any = None
    principal: Principal | None = None


def check_person(call: ActionCall, what: str) -> None:
    """Refuse an agent, and whoever comes with a token that an agent minted, what is for people to decide (``auth.denied``).
    On the command line whoever has the store is asked nothing."""
    principal = call.principal
    if principal is not None and any(one.startswith("agent:") for one in (call.by, *principal.minters)):
        raise Refused("auth.denied", f"{what}: people do that, and no agent", fix="Ask a person with this right.")


@dataclass(frozen=True)
class DomainAction(Generic[S]):
    """One action of the service of a domain.

    Attributes:
        name: within the domain.
        method, path: of its route, below the root of the domain.
        verb: the right it needs.
        summary: what it does.
        answer: does it; what it returns becomes JSON.
        body, body_bytes: as of a route.
        query: names of parameters.
    """

    name: str
    method: str
    path: str
    verb: str
    summary: str
    answer: Callable[[S, ActionCall], Awaitable[Any]]
    body: type[msgspec.Struct] | type[bytes] | None = None
    query: tuple[str, ...] = ()
    body_bytes: int = limits.MESSAGE_BYTES


def moment_of(text: str, name: str) -> int:
    """A moment as a query has it, Unix ms. Raises ``input.malformed``, naming the parameter."""
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise Refused("input.malformed", f"{name} {text!r:.40} is no moment, Unix ms")
    return int(text)


def routes_of(root: str, actions: Sequence[DomainAction[S]], service: S) -> Sequence[ExtensionRoute]:
    """The routes of a domain's actions."""
    return [_route(root, action, service) for action in actions]


def _route(root: str, action: DomainAction[S], service: S) -> ExtensionRoute:
    async def handle(call: RouteCall) -> Any:
        query = {name: call.request.query_params.get(name, "") for name in action.query}
        facts = {**call.request.path_params, **query}
        principal = call.principal
        return await action.answer(service, ActionCall(principal.actor, principal.tenant, facts, call.body, principal))

    return ExtensionRoute(
        action.method,
        root + action.path,
        action.summary,
        handle,
        verb=action.verb,
        body=action.body,
        body_bytes=action.body_bytes,
        query=action.query,
    )
