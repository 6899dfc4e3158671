"""What is asked of the keys, by REST and on the command line."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.actions import ActionCall, DomainAction
from holdfast.governance.keys.model import KeyRequest, NameRequest
from holdfast.governance.keys.service import GatewayKeys, NewKey
from holdfast.session.access import Capability

ROOT: Final = "/v1/x/governance/keys"


class CreateRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new key. ``declare``: have its workflow and team from today on, where nobody has described them."""

    key: KeyRequest
    declare: bool = False


class AdoptRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key for a program that came with one of somebody else."""

    fingerprint: str
    key: KeyRequest
    declare: bool = False


class RenameRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a key is to say of its calls from now on."""

    labels: NameRequest
    declare: bool = False


class RotateRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another secret. Both in seconds."""

    overlap_s: float = limits.KEY_OVERLAP_S
    ttl_s: float = limits.KEY_TTL_S


async def list_keys(keys: GatewayKeys, call: ActionCall) -> Any:
    """Every key of the tenant."""
    return {"keys": keys.rows(call.tenant)}


async def list_unknown(keys: GatewayKeys, call: ActionCall) -> Any:
    """Who came without a key that is known. They are of no tenant: whoever looks after the server sees them."""
    if call.tenant != keys.operator_tenant:
        raise Refused("auth.denied", f"unknown callers are shown in the tenant {keys.operator_tenant!r}")
    return {"callers": [row._asdict() for row in await keys.unknown()]}


async def create(keys: GatewayKeys, call: ActionCall) -> Any:
    """A new key."""
    body: CreateRequest = call.body
    _check_rights(call, body.key)
    return _answer(await keys.create(body.key, by=call.by, declare=body.declare, tenant=call.tenant))


async def adopt(keys: GatewayKeys, call: ActionCall) -> Any:
    """Give a name to a program that came with somebody else's key."""
    body: AdoptRequest = call.body
    _check_rights(call, body.key)
    made = await keys.adopt(body.fingerprint, body.key, by=call.by, declare=body.declare, tenant=call.tenant)
    return _answer(made)


async def rename(keys: GatewayKeys, call: ActionCall) -> Any:
    """Let a key say something else of its calls."""
    body: RenameRequest = call.body
    row = await keys.name(call.facts["key"], body.labels, by=call.by, declare=body.declare, tenant=call.tenant)
    return {"key": row}


async def rotate(keys: GatewayKeys, call: ActionCall) -> Any:
    """Another secret for a key."""
    body: RotateRequest = call.body
    ident = call.facts["key"]
    return _answer(await keys.rotate(ident, overlap_s=body.overlap_s, ttl_s=body.ttl_s, tenant=call.tenant))


async def revoke(keys: GatewayKeys, call: ActionCall) -> Any:
    """End a key."""
    return {"key": await keys.revoke(call.facts["key"], by=call.by, tenant=call.tenant)}


def _answer(made: NewKey) -> dict[str, Any]:
    return {"key": made.key, "secret": made.secret}


def _check_rights(call: ActionCall, request: KeyRequest) -> None:
    """Who makes a key that acts in sessions, or lets agents act, lets others do what a token of theirs does: that needs the
    right to mint one (``edge/tokens.py``)."""
    if call.principal is None:
        return
    wanted = [pattern for pattern in (request.session, request.sessions, "*" if request.agents else "") if pattern]
    for pattern in wanted:
        needed = Capability(pattern, frozenset({"admin"}))
        if not any(needed.within(own) for own in call.principal.capabilities):
            raise Refused("auth.denied", f"a key that acts in sessions needs admin on {pattern!r}")


LIST: Final = DomainAction("list", "GET", "", "spend", "Keys: all of the tenant, without secrets", list_keys)
UNKNOWN: Final = DomainAction("unknown", "GET", "/unknown", "spend", "Keys: who came without one", list_unknown)
CREATE: Final = DomainAction(
    "create", "POST", "", "budget", "Keys: a new one; its secret is shown once", create, CreateRequest
)
ADOPT: Final = DomainAction(
    "adopt", "POST", "/adopt", "budget", "Keys: give a program's old key a name", adopt, AdoptRequest
)
RENAME: Final = DomainAction(
    "name", "POST", "/{key}/name", "budget", "Keys: say what the calls of one are for", rename, RenameRequest
)
ROTATE: Final = DomainAction(
    "rotate", "POST", "/{key}/rotate", "budget", "Keys: another secret for one", rotate, RotateRequest
)
REVOKE: Final = DomainAction("revoke", "POST", "/{key}/revoke", "budget", "Keys: end one", revoke)
ACTIONS: Final = (LIST, UNKNOWN, CREATE, ADOPT, RENAME, ROTATE, REVOKE)
