"""Who is behind a call: a person's token beside the key, and what the ledger keeps of it."""

from __future__ import annotations

import httpx
import pytest

from holdfast.testing import FakeClock
from tests.fake_upstream.process import FakeUpstream
from tests.unit.governance.app.conftest import Served, beside, upstream

pytestmark = pytest.mark.anyio

HELLO = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hello"}]}
DAY_S = 86_400


async def ask(served: Served, token: str = "") -> httpx.Response:
    headers = {"authorization": f"Bearer {served.key}"} | ({"x-holdfast-person": token} if token else {})
    async with httpx.AsyncClient(base_url=served.url, trust_env=False) as http:
        return await http.post("/v1/chat/completions", json=HELLO, headers=headers)


async def test_a_row_is_interactive_when_a_person_signed_in_not_long_ago(
    database: str, clock: FakeClock, fake: FakeUpstream
) -> None:
    async with beside(database, clock, upstream(fake)) as served:
        assert served.site is not None
        now_s = clock.wall_ms() // 1_000
        ages = [60, DAY_S - 60, DAY_S + 60]
        seen: list[str] = []
        for count, age in enumerate(ages, 1):
            token = served.site.token("user:ann", tenant="default", labels={"sign_in": str(now_s - age)})
            answer = await ask(served, token)
            assert answer.status_code == 200, answer.text
            rows = await served.rows(count)
            seen.append("".join(row.tags.get("interactive", "-") for row in rows))
        assert (await ask(served)).status_code == 200
        rows = await served.rows(4)
        assert [sorted(tags.replace("yes", "y")) for tags in seen] == [["y"], ["y", "y"], ["-", "y", "y"]]
        assert sum("interactive" in row.tags for row in rows) == 2, "a key alone says nothing of a person"
        assert not any("sign_in" in row.tags for row in rows)


async def test_only_a_person_of_the_tenant_who_signed_in_is_one(
    database: str, clock: FakeClock, fake: FakeUpstream
) -> None:
    async with beside(database, clock, upstream(fake)) as served:
        assert served.site is not None
        said = {"sign_in": str(clock.wall_ms() // 1_000)}
        wrong = {
            "of another tenant": served.site.token("user:ann", tenant="other", labels=said),
            "of an agent": served.site.token("agent:writer", tenant="default", labels=said),
            "without a sign-in": served.site.token("user:ann", tenant="default", labels={"team": "sales"}),
            "with a word for a sign-in": served.site.token("user:ann", tenant="default", labels={"sign_in": "now"}),
        }
        for name, token in wrong.items():
            answer = await ask(served, token)
            assert answer.status_code in (401, 403), name
            assert answer.json()["error"]["code"] in ("auth.denied", "auth.invalid"), name
        forged = (await ask(served, served.site.token("user:ann", tenant="default", labels=said)[:-3] + "abc")).json()
        assert forged["error"]["code"] == "auth.invalid"
        assert fake.stats().started == 0


async def test_operators_see_how_full_upstreams_are(database: str, clock: FakeClock, fake: FakeUpstream) -> None:
    async with beside(database, clock, upstream(fake, streams=8)) as served:
        assert served.site is not None
        caps = {"*": ["audit"]}
        for tenant, status in (("default", 200), ("acme", 403)):
            token = served.site.token("user:root", tenant=tenant, capabilities=caps)
            async with served.site.http(token) as http:
                answer = await http.get("/v1/x/governance/upstreams")
            assert answer.status_code == status
            if status == 200:
                [one] = answer.json()["upstreams"]
                none = {"in_use": 0, "waiting": 0, "refused": 0}
                assert one == {
                    "upstream": "openai", "streams": 8, "reserved": 2, "paused": False, "seated": none, "headless": none,
                }  # fmt: skip


async def test_a_token_of_a_persons_own_is_a_sign_in_and_one_minted_from_it_is_none(
    database: str, clock: FakeClock, fake: FakeUpstream
) -> None:
    async with beside(database, clock, upstream(fake)) as served:
        assert served.site is not None
        governance, signed_s = served.governance, clock.wall_ms() // 1_000 - 600
        said = {"sign_in": str(signed_s)}
        own = served.site.token("user:ann", tenant="default", labels=said)
        lent = served.site.token(
            "user:bob", tenant="default", labels=said, lineage=[("t0", "user:bob"), ("t1", "agent:a")]
        )
        for token in (own, lent):
            async with served.site.http(token) as http:
                assert (await http.get("/v1/sessions")).status_code == 200
        await governance.sign_ins.note()
        assert governance.directory.signed_in_ms("default", "ann") == signed_s * 1_000
        assert governance.directory.signed_in_ms("default", "bob") is None
