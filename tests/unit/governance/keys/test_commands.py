"""``holdfast keys`` on a store's file and at a server, and the routes behind it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from holdfast.errors import HoldfastError, Refused
from holdfast.gateway.fingerprint import fingerprint
from holdfast.gateway.port import Stranger
from holdfast.governance.keys.actions import ACTIONS, ROOT
from holdfast.governance.keys.commands import app
from tests.unit.governance.governed_server import Run, governed, runner
from tests.unit.governance.keys.test_secret import JWT

MAIL = ("--workflow", "mail", "--team", "sales", "--task", "draft")
OLD = "sk-proj-abcdefghij0123456789ABCDEFGHIJ"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return runner(app, "--governance", str(tmp_path / "store.db"))


def test_a_key_is_made_listed_rotated_and_revoked(run: Run) -> None:
    assert "holdfast keys create" in run("list")
    made = run("create", *MAIL, "--declare")
    secret, note = made.splitlines()
    assert secret.startswith("hfk_") and "shown once" in note
    row = run("list", as_json=True)["keys"][0]
    assert secret not in str(row) and row["labels"] == {"workflow": "mail", "team": "sales", "task": "draft"}
    assert f"{row['id']} | mail-draft | active | mail | sales | draft | never" in run("list")
    assert run("rotate", row["id"], "--overlap", "0s").splitlines()[0] != secret
    assert "task review" in run("name", row["id"], "--task", "review")
    assert "is revoked" in run("revoke", row["id"]) and "| revoked |" in run("list")
    more = run(
        "create", *MAIL, "--user", "ann", "--usage", "seated", "--tag", "tier=gold", "--model", "gpt-*", "--ttl", "12h",
        "--sessions", "chat-*", as_json=True,
    )  # fmt: skip
    key = more["key"]
    assert key["labels"]["tier"] == "gold" and list(key["models"]) == ["gpt-*"] and key["sessions"] == "chat-*"
    assert key["expires_ms"] - key["created_ms"] == 12 * 3_600_000 and key["actor"] == "user:ann"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("create", "--workflow", "mail", "--team", "sales"), "key.unnamed"),
        (("create", *MAIL), "org.invalid"),
        (("create", *MAIL, "--declare", "--ttl", "soon"), "input.malformed"),
        (("create", *MAIL, "--declare", "--tag", "gold"), "input.malformed"),
        (("create", *MAIL, "--declare", "--usage", "never"), "key.invalid"),
        (("revoke", "nothing"), "key.not_found"),
        (("adopt", "x", *MAIL), "key.invalid"),
    ],
)
def test_what_is_wrong_is_said(run: Run, arguments: tuple[str, ...], code: str) -> None:
    with pytest.raises(HoldfastError) as refused:
        run(*arguments)
    assert refused.value.code == code and refused.value.fix
    assert run("unknown") == "Nobody came without a key."


@pytest.mark.anyio
async def test_a_server_is_asked_and_its_doors_hold(tmp_path: Path) -> None:
    async with governed(tmp_path / "store.db") as (site, extension):
        lead = runner(app, "--url", site.url, "--token", site.token(capabilities={"*": ["spend", "budget"]}))
        viewer = runner(app, "--url", site.url, "--token", site.token(capabilities={"*": ["spend"]}))
        operator = runner(app, "--url", site.url, "--token", site.token())
        secret = (await asyncio.to_thread(lead, "create", *MAIL, "--declare")).splitlines()[0]
        assert extension.keys.identify(secret).tenant == "acme"
        extension.keys.note(Stranger(fingerprint(OLD), "::1", "curl/8", "/v1/messages", extension.clock.wall_ms()))
        shown = await asyncio.to_thread(viewer, "unknown")
        assert f"{fingerprint(OLD)} | curl/8 | 1" in shown
        assert "until" in await asyncio.to_thread(lead, "adopt", fingerprint(OLD), *MAIL)
        assert extension.keys.identify(OLD).label("task") == "draft"
        ident = extension.keys.identify(secret).key
        for arguments in (("create", *MAIL), ("rotate", ident), ("revoke", ident), ("name", ident, "--task", "x")):
            with pytest.raises(Refused) as refused:
                await asyncio.to_thread(viewer, *arguments)
            assert refused.value.code == "auth.denied", arguments
        with pytest.raises(Refused):
            await asyncio.to_thread(operator, "list")
        await asyncio.to_thread(lead, "revoke", ident)
        with pytest.raises(Refused) as refused:
            extension.keys.identify(secret)
        assert refused.value.code == "key.revoked"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("caps", "options", "allowed"),
    [
        ({"*": ["budget"]}, ("--session", "chat-1"), False),
        ({"*": ["budget"]}, ("--sessions", "chat-*"), False),
        ({"*": ["budget"]}, ("--agent", "librarian"), False),
        ({"*": ["budget"], "chat-*": ["admin"]}, ("--sessions", "chat-*"), True),
        ({"*": ["budget"], "chat-*": ["admin"]}, ("--sessions", "*"), False),
        ({"*": ["budget"], "chat-*": ["admin"]}, ("--agent", "librarian"), False),
        ({"*": ["budget", "admin"]}, ("--agent", "librarian", "--sessions", "*"), True),
    ],
)
async def test_a_key_can_do_no_more_in_sessions_than_who_makes_it(
    tmp_path: Path, caps: dict[str, list[str]], options: tuple[str, ...], allowed: bool
) -> None:
    async with governed(tmp_path / "store.db") as (site, _):
        lead = runner(app, "--url", site.url, "--token", site.token(capabilities=caps))
        if allowed:
            assert "hfk_" in await asyncio.to_thread(lead, "create", *MAIL, *options, "--declare")
        else:
            with pytest.raises(Refused, match="admin") as refused:
                await asyncio.to_thread(lead, "create", *MAIL, *options, "--declare")
            assert refused.value.code == "auth.denied"


@pytest.mark.anyio
async def test_unknown_callers_are_for_the_operators_tenant(tmp_path: Path) -> None:
    async with governed(tmp_path / "store.db") as (site, extension):
        extension.keys.note(Stranger(fingerprint(JWT), "::1", "curl/8", "/v1/messages", extension.clock.wall_ms()))
        other = runner(app, "--url", site.url, "--token", site.token(tenant="other", capabilities={"*": ["spend"]}))
        with pytest.raises(Refused) as refused:
            await asyncio.to_thread(other, "unknown")
        assert refused.value.code == "auth.denied"
        async with site.http(site.token(capabilities={"*": ["budget"]})) as http:
            body = {"key": {"workflow": "w", "team": "t", "task": "x", "colour": "red"}}
            answer = await http.post(ROOT, json=body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "input.malformed")


def test_reading_rights_change_nothing() -> None:
    for action in ACTIONS:
        assert (action.method == "GET") == (action.verb == "spend")
