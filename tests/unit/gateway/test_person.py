"""A person's token that comes with a key: what it adds to a call, and that nobody else sees it."""

from __future__ import annotations

import logging
from typing import Any

import pytest

import holdfast
from holdfast.engines.port import Key
from holdfast.errors import Refused
from holdfast.gateway.port import Caller
from holdfast.gateway.sessions import LocalSessions
from holdfast.protocol import limits
from tests.fake_upstream.process import FakeUpstream

from .conftest import KEY, served, upstreams_of

pytestmark = pytest.mark.anyio

BODY: Any = {"model": "gpt-5", "messages": [{"role": "user", "content": "Hi"}]}
CHAT = "/v1/chat/completions"
TOKEN = "a-person's-token"


class FakePeople:
    """Knows one token of tenant ``default``; ``at`` is when its person signed in."""

    at = 1_764_000_000

    def verify(self, token: str, tenant: str) -> int:
        if (token, tenant) != (TOKEN, "default"):
            raise Refused("auth.invalid")
        return self.at


@pytest.fixture(autouse=True)
def _anew(fake: FakeUpstream) -> None:
    fake.reset()
    fake.always(tokens=5, input=40)


def person(token: str = TOKEN) -> dict[str, str]:
    return {"x-holdfast-person": token}


async def test_a_sign_in_is_a_label_of_the_call_and_its_token_goes_no_further(
    fake: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with served(*upstreams_of(fake), people=FakePeople()) as site, site.http() as http:
        assert (await http.post(CHAT, json=BODY, headers=person())).status_code == 200
        assert (await http.post(CHAT, json=BODY)).status_code == 200
        said, silent = (one.call.caller for one in site.meter.opened)
        assert said.label("sign_in") == "1764000000" and not silent.label("sign_in")
        assert said.labels == tuple(sorted(said.labels)) and said.label("workflow") == "refunds"
        for request in fake.stats(ended=2).requests:
            assert TOKEN not in str(request.headers) and "x-holdfast-person" not in request.headers
    assert TOKEN not in caplog.text


async def test_a_key_says_nothing_of_a_sign_in(fake: FakeUpstream) -> None:
    async with served(*upstreams_of(fake), people=FakePeople()) as site, site.http() as http:
        site.keys.callers[KEY] = Caller("k1", labels=(("sign_in", "9"), ("team", "support")))
        await http.post(CHAT, json=BODY)
        assert site.meter.opened[0].call.caller.labels == (("team", "support"),)


@pytest.mark.parametrize("token", ["another", "x" * (limits.TOKEN_CHARS + 1)])
async def test_a_token_that_is_not_good_refuses_the_call(fake: FakeUpstream, token: str) -> None:
    async with served(*upstreams_of(fake), people=FakePeople()) as site, site.http() as http:
        answer = await http.post(CHAT, json=BODY, headers=person(token))
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "auth.invalid")
        assert token not in answer.text and not site.meter.asked
    async with served(*upstreams_of(fake)) as site, site.http() as http:
        answer = await http.post(CHAT, json=BODY, headers=person())
        assert answer.json()["error"]["code"] == "config.invalid", "nobody here can read it"


async def test_the_run_of_a_call_has_the_sign_in_of_its_own_call(fake: FakeUpstream) -> None:
    people, hub = FakePeople(), holdfast.EmbeddedHub("memory:")
    async with (
        hub,
        served(*upstreams_of(fake), sessions=LocalSessions(hub.hub), people=people) as site,
        site.http() as http,
    ):
        for at in (1_764_000_000, 1_764_000_777, 0):
            people.at = at
            more = person() if at else {}
            answer = await http.post(CHAT, json=BODY, headers={"x-holdfast-session": "k1.s", **more})
            assert answer.status_code == 200, answer.text
        labels = [one.call.caller.label("sign_in") for one in site.meter.opened]
        state = (await hub.hub.sessions.ready(Key("default", "k1.s"))).state
        assert state is not None
        runs = [run.labels.get("sign_in", "") for run in (*state.ended.values(), *state.runs.values())]
    assert labels == runs == ["1764000000", "1764000777", ""]
