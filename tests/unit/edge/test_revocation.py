"""Revoked tokens and narrower ones: by tenant, durable, and never more than was granted (ACC-2, ACC-4)."""

from __future__ import annotations

import asyncio

import jwt
import pytest

from holdfast.edge.revocation import Revocations
from holdfast.errors import Refused
from holdfast.session.access import VERBS, Capability, Principal

from ...acceptance.test_hostile_input import Raw
from .conftest import Site

pytestmark = pytest.mark.anyio


def somebody(tenant: str, token_id: str, actor: str = "user:ann", *, admin: bool = False) -> Principal:
    verbs = frozenset(VERBS if admin else VERBS - {"admin"})
    return Principal(actor, tenant, (Capability("*", verbs),), token_id=token_id, expires_ms=4_000_000_000_000)


def refused(revocations: Revocations, principal: Principal) -> bool:
    try:
        revocations.check(principal)
    except Refused as error:
        assert error.code == "auth.revoked"
        return True
    return False


async def test_a_token_id_is_revoked_in_its_own_tenant_only(site: Site) -> None:
    revocations = site.edge.revocations
    await revocations.token(somebody("acme", "root", admin=True), "t1")
    assert refused(revocations, somebody("acme", "t1"))
    assert not refused(revocations, somebody("other", "t1"))
    again = Revocations(site.hub)
    await again.load()
    assert refused(again, somebody("acme", "t1")) and not refused(again, somebody("other", "t1"))


async def test_without_admin_only_the_own_token(site: Site) -> None:
    revocations = site.edge.revocations
    await revocations.token(somebody("acme", "t1"), "t1")
    assert refused(revocations, somebody("acme", "t1"))
    for work in (
        revocations.token(somebody("acme", "t2"), "t3"),
        revocations.subject(somebody("acme", "t2"), "user:ann"),
    ):
        with pytest.raises(Refused) as denied:
            await work
        assert denied.value.code == "auth.denied"


async def test_what_has_expired_is_forgotten(site: Site) -> None:
    expired = Principal("user:ann", "acme", (), token_id="old", expires_ms=1_000)
    await site.edge.revocations.token(expired, "old")
    assert await site.hub.engine.facts("revoked/")
    again = Revocations(site.hub)
    await again.load()
    assert not await site.hub.engine.facts("revoked/")


async def test_all_tokens_of_a_subject(site: Site) -> None:
    old, other = site.token("user:gone"), site.token("user:stays")
    connections = [await Raw.open(site, token=token) for token in (old, old, other)]
    for raw in connections:
        await raw.answer(op="welcome")
    foreign = await Raw.open(site, token=site.token("user:gone", "elsewhere"))
    await foreign.answer(op="welcome")
    async with site.http(site.token()) as admin:
        assert (await admin.post("/v1/tokens/revoke", json={"sub": "user:gone"})).status_code == 200
        for body in ({}, {"jti": "a", "sub": "user:x"}, {"sub": "with space"}, {"jti": ""}, {"who": "x"}, []):
            assert (await admin.post("/v1/tokens/revoke", json=body)).status_code == 400, body
    assert [await raw.close_code() for raw in connections[:2]] == [4411, 4411]
    for raw in (connections[2], foreign):
        raw.say({"op": "ping", "id": 1})
        await raw.answer(op="ok")
    assert (await Raw.open(site, token=old)).status == 401
    assert site.edge.secret is not None
    undated = jwt.decode(old, options={"verify_signature": False})
    del undated["iat"]
    assert (await Raw.open(site, token=jwt.encode(undated, site.edge.secret, "HS256"))).status == 401
    await asyncio.sleep(0.01)
    assert (await Raw.open(site, token=site.token("user:gone"))).status == 101


async def test_no_token_speaks_for_somebody_else_without_admin(site: Site) -> None:
    asks = (
        {"sub": "user:bob", "caps": {}},
        {"sub": "user:bob", "caps": {"*": []}},
        {"sub": "user:bob", "caps": {"*": ["read"]}},
        {"sub": "agent:x", "caps": {"*": []}},
        {"sub": "system:x", "caps": {"*": ["read"]}},
        {"sub": "policy:x", "caps": {"*": ["read"]}},
        {"sub": "user:a b", "caps": {"*": ["read"]}},
        {"sub": "user:ann", "caps": {"*": ["read"]}, "agents": ["w"]},
        {"sub": "user:ann", "caps": {"*": [["read"]]}},
        {"sub": "user:ann", "caps": {"*": ["fly"]}},
        {"sub": "user:ann", "caps": {"a*b": ["read"]}},
        {"sub": "user:ann", "caps": {"*": ["read"]}, "ttl_s": 0},
        {"sub": "user:ann", "caps": {"*": ["read"]}, "ttl_s": 1e9},
        {"sub": "user:ann", "caps": {"*": ["read"]}, "tenant": "other"},
    )
    async with site.http(site.token(capabilities={"*": sorted(VERBS - {"admin"})})) as ann:
        for body in asks:
            answer = await ann.post("/v1/tokens", json=body)
            assert answer.status_code in (400, 403), body
        mine = await ann.post("/v1/tokens", json={"sub": "user:ann", "caps": {"s*": ["read"]}, "ttl_s": 60})
        assert mine.status_code == 201
        minted = site.edge.verifier.verify(mine.json()["token"])
        assert (minted.tenant, minted.actor, minted.may("read", "s1"), minted.may("read", "x")) == (
            "acme", "user:ann", True, False,
        )  # fmt: skip


async def test_a_minted_token_does_not_outlive_the_one_that_asked(site: Site) -> None:
    async with site.http(site.token(ttl_s=30)) as ann:
        body = {"sub": "user:ann", "caps": {"*": ["read"]}, "ttl_s": 3_600}
        minted = site.edge.verifier.verify((await ann.post("/v1/tokens", json=body)).json()["token"])
    asking = site.edge.verifier.verify(site.token(ttl_s=30))
    assert minted.expires_ms is not None and asking.expires_ms is not None
    assert minted.expires_ms <= asking.expires_ms
