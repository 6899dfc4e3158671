"""What people and programs ask of the directory: said once, served by REST and by the command line."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from holdfast.errors import Refused
from holdfast.governance import limits
from holdfast.governance.actions import ActionCall, DomainAction
from holdfast.governance.directory.model import name_key
from holdfast.governance.directory.people_file import read_people
from holdfast.governance.directory.service import Directory

ROOT: Final = "/v1/x/governance/directory"


class DirectoryTokenRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token for the identity provider. ``ttl_s``: for how long it is good, seconds."""

    ttl_s: float = limits.DIRECTORY_TOKEN_S


async def people(directory: Directory, call: ActionCall) -> Any:
    """Everybody, or those in whose name, address or unit a text is; and who keeps them."""
    text = name_key(call.facts.get("find", ""))
    listed = [
        directory.shown(call.tenant, person)
        for person in directory.people(call.tenant)
        if any(text in name_key(value) for value in (person.user_name, person.email, person.display, person.unit))
    ]
    return {
        "source": directory.source(call.tenant),
        "heard_ms": directory.heard_ms(call.tenant),
        "count": len(listed),
        "people": listed[: limits.DIRECTORY_ROWS],
    }


async def bring(directory: Directory, call: ActionCall) -> Any:
    """Have everybody as a file says."""
    return msgspec.to_builtins(await directory.bring(call.tenant, read_people(call.body)))


async def tokens(directory: Directory, call: ActionCall) -> Any:
    """The tokens of the tenant's identity provider, without what opens anything."""
    return {"tokens": [msgspec.to_builtins(token) for token in directory.tokens(call.tenant)]}


async def token(directory: Directory, call: ActionCall) -> Any:
    """A new one; its text is answered once."""
    body: DirectoryTokenRequest = call.body
    made, text = await directory.new_token(call.tenant, call.by, body.ttl_s)
    return {"token": msgspec.to_builtins(made), "secret": text}


async def revoke(directory: Directory, call: ActionCall) -> Any:
    """End one."""
    ident = call.facts["token"]
    if not await directory.revoke(call.tenant, ident, call.by):
        fix = "List them with `holdfast directory tokens`."
        raise Refused("input.malformed", f"there is no token {ident!r:.80} of this tenant's directory", fix=fix)
    return {}


PEOPLE: Final = DomainAction(
    "people", "GET", "/people", "budget", "Directory: people, and when it was heard last", people, query=("find",)
)
IMPORT: Final = DomainAction(
    "import", "POST", "/import", "budget", "Directory: have everybody as a file says", bring, bytes,
    body_bytes=limits.DIRECTORY_IMPORT_BYTES,
)  # fmt: skip
TOKENS: Final = DomainAction("tokens", "GET", "/tokens", "budget", "Directory: tokens of the identity provider", tokens)
TOKEN: Final = DomainAction(
    "token", "POST", "/tokens", "budget", "Directory: a token for the identity provider, shown once", token,
    DirectoryTokenRequest,
)  # fmt: skip
REVOKE: Final = DomainAction(
    "revoke", "POST", "/tokens/{token}/revoke", "budget", "Directory: end a token of the identity provider", revoke
)
ACTIONS: Final = (PEOPLE, IMPORT, TOKENS, TOKEN, REVOKE)
"""All of them."""
