"""Keys of callers in a store of either kind."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
import pytest

from holdfast.errors import Refused, Unavailable
from holdfast.gateway.fingerprint import fingerprint
from holdfast.gateway.port import Caller, Keys, Stranger
from holdfast.governance import limits
from holdfast.governance.keys import service
from holdfast.governance.keys.model import KeyRequest, NameRequest
from holdfast.governance.keys.service import GatewayKeys
from holdfast.governance.keys.strangers import OTHERS
from holdfast.governance.organisation.service import Organisation
from holdfast.governance.store.changes import Changes
from holdfast.governance.store.store import Store
from holdfast.governance.store.tables.base import metadata
from holdfast.governance.store.tables.keys import gateway_keys
from holdfast.testing import EPOCH_MS, FakeClock
from tests.unit.governance.keys.test_secret import JWT

pytestmark = pytest.mark.anyio

MAIL = KeyRequest(workflow="mail", team="sales", task="draft", user="ann", usage="seated", models=("gpt-*",))
OLD = "sk-proj-abcdefghij0123456789ABCDEFGHIJ"


def code_of(keys: Keys, secret: str) -> str:
    with pytest.raises(Refused) as refused:
        keys.identify(secret)
    assert secret not in refused.value.text or not secret, "a secret is never in an error"
    return refused.value.code


def stranger(secret: str = OLD, path: str = "/v1/messages", agent: str = "curl/8", at_ms: int = EPOCH_MS) -> Stranger:
    return Stranger(fingerprint(secret), "10.0.0.7", agent, path, at_ms)


async def test_a_key_says_whose_its_calls_are(keys: GatewayKeys, organisation: Organisation) -> None:
    made = await keys.create(MAIL, by="user:root")
    labels = (("task", "draft"), ("team", "sales"), ("usage", "seated"), ("user", "ann"), ("workflow", "mail"))
    assert keys.identify(made.secret) == Caller(made.key.id, "default", "user:ann", labels, ("gpt-*",))
    assert organisation.person(await organisation.pseudonym("ann")) == "ann"
    assert keys.rows() == [made.key] and made.key.created_by == "user:root"
    assert made.key.name == "mail-draft" and made.key.state == "active"


async def test_a_secret_is_nowhere_but_in_the_answer(
    keys: GatewayKeys, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    made = await keys.create(MAIL)
    keys.identify(made.secret)
    await keys.flush()
    code_of(keys, made.secret[:-1])
    part = made.secret[17:60]

    def everything(connection: Any) -> str:
        return str([row for table in metadata.sorted_tables for row in connection.execute(table.select())])

    stored = await store.read(everything)
    assert made.key.id in stored and part not in stored
    assert part not in str(keys.rows()) and part not in caplog.text
    digest = service.statements.read_all
    _, secrets = await store.read(digest)
    assert secrets[0].hash not in msgspec.json.encode(keys.rows()).decode(), "lists have no hashes"


@pytest.mark.parametrize("missing", ["workflow", "team", "task"])
async def test_a_key_has_to_say_what_its_calls_are_for(keys: GatewayKeys, store: Store, missing: str) -> None:
    with pytest.raises(Refused) as refused:
        await keys.create(msgspec.structs.replace(MAIL, **{missing: ""}))
    assert refused.value.code == "key.unnamed" and missing in refused.value.detail and "--task" in refused.value.fix
    made = await keys.create(MAIL)
    said = {"workflow": "mail", "team": "sales", "task": "draft"}
    del said[missing]
    await store.write(lambda c: c.execute(gateway_keys.update().values(labels=said)) and None)  # of an older version
    await keys.refresh()
    with pytest.raises(Refused) as refused:
        keys.identify(made.secret)
    assert refused.value.code == "key.unnamed" and f"holdfast keys name {made.key.id} --{missing}" in refused.value.fix
    await keys.name(made.key.id, NameRequest(**{missing: {**msgspec.structs.asdict(MAIL)}[missing]}))
    assert keys.identify(made.secret).label(missing) == getattr(MAIL, missing)


async def test_a_workflow_is_described_or_declared(keys: GatewayKeys, organisation: Organisation) -> None:
    other = msgspec.structs.replace(MAIL, workflow="mial")
    with pytest.raises(Refused, match="it has 'mail'") as refused:
        await keys.create(other)
    assert refused.value.code == "org.invalid" and "--declare" in refused.value.fix
    made = await keys.create(other, declare=True)
    assert keys.identify(made.secret).label("workflow") == "mial"
    named = organisation.workflow("mial")
    assert named is not None and named.declared


async def test_what_is_no_key_is_refused_by_name(keys: GatewayKeys) -> None:
    made = await keys.create(MAIL)
    other = service.new_secret().text
    for secret in (other, OLD, "x", made.secret + "A", made.secret[:-1] + "é", "\x00", "\udcff" * 9, "A" * 100_000):
        assert code_of(keys, secret) == "key.unknown"
    assert code_of(keys, "") == "key.required"
    with pytest.raises(Refused, match="access token for sessions") as refused:
        keys.identify(JWT)
    assert refused.value.code == "key.unknown" and "gateway key" in refused.value.fix
    with pytest.raises(Refused) as refused:
        keys.identify(OLD)
    assert refused.value.fields["fingerprint"] == fingerprint(OLD)


async def test_the_same_id_with_another_secret_is_refused(keys: GatewayKeys) -> None:
    from holdfast.governance.keys.secret import _check, id_of

    made = await keys.create(MAIL)
    forged = made.secret[:17] + "0" * 43
    forged += _check(forged)
    assert id_of(forged) == id_of(made.secret) and code_of(keys, forged) == "key.unknown"


async def test_a_key_expires_at_its_time(keys: GatewayKeys, clock: FakeClock) -> None:
    made = await keys.create(msgspec.structs.replace(MAIL, ttl_s=60))
    clock.advance(59)
    keys.identify(made.secret)
    clock.advance(1)
    assert code_of(keys, made.secret) == "key.expired" and keys.rows()[0].state == "expired"


async def test_a_rotation_overlaps_as_long_as_it_says(keys: GatewayKeys, clock: FakeClock) -> None:
    made = await keys.create(MAIL)
    second = await keys.rotate(made.key.id, overlap_s=3_600)
    assert keys.identify(made.secret) == keys.identify(second.secret), "rows go on under one key"
    assert len(second.key.secrets) == 2
    clock.advance(3_600)
    assert code_of(keys, made.secret) == "key.expired" and keys.identify(second.secret)
    third = await keys.rotate(made.key.id, overlap_s=0)
    assert code_of(keys, second.secret) == "key.expired" and keys.identify(third.secret)
    for bad in ({"overlap_s": -1}, {"overlap_s": limits.KEY_OVERLAP_MOST_S + 1}, {"ttl_s": 0}):
        with pytest.raises(Refused):
            await keys.rotate(made.key.id, **bad)  # type: ignore[arg-type]
    for _ in range(limits.KEY_SECRETS - 1):
        await keys.rotate(made.key.id)
    with pytest.raises(Refused, match="secrets"):
        await keys.rotate(made.key.id)


async def test_a_rotation_never_makes_a_former_secret_live_longer(keys: GatewayKeys, clock: FakeClock) -> None:
    made = await keys.create(msgspec.structs.replace(MAIL, ttl_s=60))
    await keys.rotate(made.key.id, overlap_s=3_600)
    clock.advance(61)
    assert code_of(keys, made.secret) == "key.expired"


async def test_a_revoked_key_is_refused_here_at_once_and_elsewhere_when_it_looks(
    keys: GatewayKeys, store: Store, organisation: Organisation, clock: FakeClock
) -> None:
    made = await keys.create(MAIL)
    second = await keys.rotate(made.key.id)
    changes = Changes(store)
    elsewhere = GatewayKeys(store, organisation, clock.wall_ms, changes)
    changes.follow("keys", elsewhere.refresh)
    await changes.look()
    assert elsewhere.identify(made.secret)
    heard: list[tuple[str, str]] = []
    keys.watch(lambda ident: heard.append(("here", ident)))
    elsewhere.watch(lambda ident: heard.append(("elsewhere", ident)))
    row = await keys.revoke(made.key.id, by="user:root")
    assert heard == [("here", made.key.id)], "what runs under it is ended"
    assert (row.state, row.revoked_by, row.secrets) == ("revoked", "user:root", ())
    assert code_of(keys, made.secret) == code_of(keys, second.secret) == "key.revoked"
    await changes.look()
    assert code_of(elsewhere, made.secret) == "key.revoked"
    await elsewhere.refresh()
    assert heard[1:] == [("elsewhere", made.key.id)], "once"
    clock.advance(5)
    assert (await keys.revoke(made.key.id, by="user:eve")).revoked_by == "user:root", "the first counts"
    with pytest.raises(Refused) as refused:
        await keys.rotate(made.key.id)
    assert refused.value.code == "key.revoked"


async def test_a_running_gateway_looks_by_itself(
    keys: GatewayKeys, store: Store, organisation: Organisation, clock: FakeClock
) -> None:
    assert limits.CHANGES_EVERY_S <= 0.5, "twice a second at least"
    changes = Changes(store, every_s=0.001)
    elsewhere = GatewayKeys(store, organisation, clock.wall_ms, changes)
    seen = asyncio.Event()

    async def refreshed() -> None:
        await elsewhere.refresh()
        seen.set()

    changes.follow("keys", refreshed)
    await changes.start()
    try:
        made = await keys.create(MAIL)
        await seen.wait()
        while not elsewhere.rows():
            seen.clear()
            await seen.wait()
        assert elsewhere.identify(made.secret)
        seen.clear()
        await keys.revoke(made.key.id)
        while elsewhere.rows()[0].state != "revoked":
            seen.clear()
            await seen.wait()
        assert code_of(elsewhere, made.secret) == "key.revoked"
    finally:
        await changes.stop()


async def test_who_cannot_see_revocations_lets_nobody_in(
    keys: GatewayKeys, organisation: Organisation, clock: FakeClock
) -> None:
    class Broken:
        looks = 0

        async def read(self, work: Any) -> Any:
            self.looks += 1
            if self.looks > 1:
                raise Unavailable("store.unavailable")
            return {}

    changes = Changes(Broken(), every_s=0.0)  # type: ignore[arg-type]
    made = await keys.create(MAIL)
    blind = GatewayKeys(keys._store, organisation, clock.wall_ms, changes)
    await blind.refresh()
    await changes.start()
    try:
        assert blind.identify(made.secret)
        while changes.fresh:
            await asyncio.sleep(0)
        with pytest.raises(Unavailable) as refused:
            blind.identify(made.secret)
        assert refused.value.code == "store.unavailable"
    finally:
        await changes.stop()


async def test_when_a_key_was_used_is_known_to_the_hour_and_written_in_batches(
    keys: GatewayKeys, store: Store, organisation: Organisation, clock: FakeClock
) -> None:
    made = await keys.create(MAIL)
    before = store.health().counters
    for _ in range(100):
        keys.identify(made.secret)
    assert store.health().counters == before, "nothing is written while somebody waits"
    await keys.flush()
    used = keys.rows()[0].used_ms
    assert used is not None and used % 3_600_000 == 0 and 0 <= clock.wall_ms() - used < 3_600_000
    keys.identify(made.secret)
    after = store.health().counters
    await keys.flush()
    assert store.health().counters == after, "nothing new"
    clock.advance(3_600)
    keys.identify(made.secret)
    await keys.flush()
    elsewhere = GatewayKeys(store, organisation, clock.wall_ms)
    await elsewhere.refresh()
    assert elsewhere.rows()[0].used_ms == used + 3_600_000


async def test_unknown_callers_are_counted(keys: GatewayKeys, clock: FakeClock) -> None:
    at_ms = clock.wall_ms()
    for n in range(3):
        keys.note(stranger(at_ms=at_ms + n))
    keys.note(stranger(path="/v1/models", at_ms=at_ms))
    keys.note(stranger("", agent="\x1b[2Jpython\x00", at_ms=at_ms))
    first, second = await keys.unknown()
    assert (first.fingerprint, first.agent, first.calls) == (fingerprint(OLD), "curl/8", 4)
    assert (first.first_ms, first.last_ms, first.paths) == (at_ms, at_ms + 2, ("/v1/messages", "/v1/models"))
    assert (second.fingerprint, second.agent, second.calls) == ("", "\\x1b[2Jpython\\x00", 1)
    keys.note(stranger(at_ms=at_ms + 86_400_000))
    assert (await keys.unknown())[0].calls == 5
    clock.advance((limits.STRANGERS_KEEP_DAYS + 2) * 86_400)
    keys.note(stranger(at_ms=clock.wall_ms()))
    assert [row.calls for row in await keys.unknown()] == [1], "the old ones are forgotten"


async def test_unknown_callers_are_bounded(keys: GatewayKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STRANGERS_SEEN", 5)
    for n in range(20):
        keys.note(stranger(path=f"/v1/{n}"))
        await keys.flush()
    keys.note(stranger(path="/v1/0", agent="curl/8"))
    counted = {row.fingerprint: row for row in await keys.unknown()}
    assert counted[OTHERS].calls == 15 and counted[fingerprint(OLD)].calls == 6
    keys.note(stranger("s" * 100_000, "/" + "p" * 100_000, "a" * 100_000))


async def test_a_count_survives_a_store_that_fails(keys: GatewayKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    keys.note(stranger())

    async def fail(work: Any) -> Any:
        raise Unavailable("store.unavailable")

    with monkeypatch.context() as patch:
        patch.setattr(keys._store, "write", fail)
        with pytest.raises(Unavailable):
            await keys.unknown()
    keys.note(stranger())
    assert [row.calls for row in await keys.unknown()] == [2]


async def test_an_existing_program_is_given_a_name(
    keys: GatewayKeys, store: Store, clock: FakeClock, organisation: Organisation
) -> None:
    with pytest.raises(Refused, match="nobody came"):
        await keys.adopt(fingerprint(OLD), MAIL)
    keys.note(stranger())
    assert code_of(keys, OLD) == "key.unknown"
    made = await keys.adopt(fingerprint(OLD), MAIL, by="user:root")
    assert made.secret == "" and made.key.adopted and made.key.expires_ms == clock.wall_ms() + 30 * 86_400_000
    assert keys.identify(OLD).label("workflow") == "mail"
    assert code_of(keys, fingerprint(OLD)) == "key.unknown", "the fingerprint lets nobody in"
    assert await keys.unknown() == []
    with pytest.raises(Refused, match="name already"):
        await keys.adopt(fingerprint(OLD), MAIL)

    def everything(connection: Any) -> str:
        return str([row for table in metadata.sorted_tables for row in connection.execute(table.select())])

    assert OLD not in await store.read(everything)
    rotated = await keys.rotate(made.key.id, overlap_s=60)
    assert keys.identify(OLD) == keys.identify(rotated.secret)
    clock.advance(60)
    assert code_of(keys, OLD) == "key.expired" and keys.identify(rotated.secret)


@pytest.mark.parametrize("secret", ["EMPTY", "sk-no-key-required", JWT])
async def test_what_many_send_is_nobodys(keys: GatewayKeys, secret: str) -> None:
    keys.note(stranger(secret))
    with pytest.raises(Refused, match="no secret") as refused:
        await keys.adopt(fingerprint(secret), MAIL)
    assert "keys create" in refused.value.fix
    with pytest.raises(Refused, match="no fingerprint"):
        await keys.adopt("", MAIL)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"usage": "sometimes"}, "seated or headless"),
        ({"models": (), "agents": ()}, "nothing"),
        ({"models": ("a b",)}, "model"),
        ({"models": ("m",) * 65}, "at most"),
        ({"session": "a b"}, "session"),
        ({"session": "a", "sessions": "b*"}, "not both"),
        ({"sessions": "*b*"}, "sessions"),
        ({"actor": "system:root"}, "actor"),
        ({"user": "two words"}, "actor"),
        ({"tags": {"team": "x"}}, "--team"),
        ({"tags": {"sign_in": "1700000000"}}, "a key is no sign-in"),
        ({"tags": {"Team": "x"}}, "a name is"),
        ({"tags": {"x": "\n"}}, "x: 1 to"),
        ({"tags": {f"t{n}": "x" for n in range(12)}}, "at most 16"),
        ({"name": "x" * 65}, "name"),
        ({"ttl_s": 0}, "good for"),
        ({"ttl_s": float("nan")}, "good for"),
        ({"ttl_s": 366 * 86_400}, "good for"),
    ],
)
async def test_what_a_key_cannot_be(keys: GatewayKeys, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words) as refused:
        await keys.create(msgspec.structs.replace(MAIL, **changes))
    assert refused.value.code == "key.invalid" and keys.rows() == []


async def test_tenants_do_not_see_each_others_keys(keys: GatewayKeys, organisation: Organisation) -> None:
    await organisation.declare("mail", "sales", tenant="acme")
    made = await keys.create(MAIL, tenant="acme")
    assert keys.rows() == [] and keys.rows("acme") == [made.key]
    assert keys.identify(made.secret).tenant == "acme"
    for act in (keys.revoke(made.key.id), keys.rotate(made.key.id), keys.name(made.key.id, NameRequest(task="x"))):
        with pytest.raises(Refused) as refused:
            await act
        assert refused.value.code == "key.not_found"
