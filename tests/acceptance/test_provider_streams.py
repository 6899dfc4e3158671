"""Every recorded provider stream, served in random pieces, through an agent into a session: the fold holds what it says.

So it is for who reads afterwards, for who joins in the middle of it, and for who is cut again and again.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast.agents.holdfast import Holdfast
from holdfast.client.client import Client
from holdfast.client.retry import Backoff
from holdfast.protocol.fold import View

from .conftest import Site
from .cutting import Cut, CuttingProxy
from .providers.expected import READERS, ExpectedAnswer, expected_answer, objects, parsed
from .providers.framings import FRAMINGS
from .providers.provider import Play, Provider
from .providers.recordings import FOLDER, WITHOUT_STREAM, Recording, listed, reason, recordings
from .providers.relays import RELAYS

pytestmark = pytest.mark.anyio

if not FOLDER.is_dir():
    pytest.skip("the recorded streams are not beside this checkout", allow_module_level=True)

AT_ONCE = 12
SILENT: set[str] = set()
STREAMS = {name: r for name, r in recordings().items() if not reason(r)}


@pytest.fixture
async def provider(site: Site) -> AsyncIterator[Provider]:
    """A provider, and a worker with the agent that asks it."""
    async with (
        Provider().running() as provider,
        Holdfast(site.url, site.token("agent:model", agents=["model"])) as worker,
    ):
        worker.add_agent("model", provider.agent)
        working = asyncio.create_task(worker.serve(slots=2 * AT_ONCE))
        yield provider
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


def folded(view: View, run: str) -> ExpectedAnswer:
    """What a session's fold says of a run; the tools that the provider itself ran have their results, and are not told."""
    view.export()
    items = [item for item in view.items if item.get("run") == run]

    def text(kind: str) -> str:
        return "".join(item["text"] for item in items if item["kind"] == kind)

    calls = [
        (item["name"], parsed(item["args"])) for item in items if item["kind"] == "tool" and item["status"] != "done"
    ]
    return ExpectedAnswer(text("message"), text("reasoning"), calls, view.runs[run]["status"] == "failed")


def over(run: str) -> Any:
    return lambda view: view.runs.get(run, {}).get("status") in ("completed", "failed", "cancelled", "lost")


async def played(
    site: Site, provider: Provider, asker: Client, late: Client, name: str, recording: Recording
) -> tuple[int, bool]:
    """Play one recording to three readers; returns how often the third was cut, and whether the second came in the
    middle of what is said."""
    play = provider.plays[name] = Play(recording)
    expected, dice = expected_answer(recording), random.Random(name)
    proxy = CuttingProxy(site.port)
    proxy.plan = [Cut(frames=dice.randint(4, 7)) if n % 2 else Cut(bytes_=dice.randint(700, 3_000)) for n in range(8)]
    session = await asker.create(name)
    async with (
        proxy.running(),
        Client(proxy.url, site.token(), backoff=Backoff(0.001, 0.001)) as cut,
        cut.session(name).live() as torn,
    ):
        run = await session.send(name, agent="model")
        await play.halfway.wait()
        async with late.session(name).live() as joined:
            begun = folded(await joined.until(lambda view: run.id in view.runs), run.id)
            play.goes_on.set()
            for reader in (joined, torn):
                assert folded(await reader.until(over(run.id)), run.id) == expected, name
            whole = await session.state()
            assert whole.export() == joined.view.export() == torn.view.export(), name
    outcome = whole.runs[run.id]
    assert folded(whole, run.id) == expected, name
    if expected.error:
        assert outcome["error"]["code"] == "upstream.failed", (name, outcome)
    else:
        assert outcome["status"] == "completed", (name, outcome)
        assert {i["status"] for i in whole.items if i["kind"] in ("message", "reasoning")} <= {"complete"}, name
    assert outcome["attempt"] == 1, name
    return len(proxy.carried) - 1, ExpectedAnswer() != begun != expected


async def test_every_recorded_stream_folds_to_what_it_says(site: Site, provider: Provider) -> None:
    gate = asyncio.Semaphore(AT_ONCE)
    async with Client(site.url, site.token()) as asker, Client(site.url, site.token("user:bob")) as late:

        async def one(number: int, name: str) -> tuple[int, bool]:
            async with gate, asyncio.timeout(40):
                return await played(site, provider, asker, late, f"r{number}", STREAMS[name])

        done = await asyncio.gather(*(one(n, name) for n, name in enumerate(STREAMS)), return_exceptions=True)
    failed = [f"{name}: {r!r}" for name, r in zip(STREAMS, done, strict=True) if isinstance(r, BaseException)]
    assert not failed, "\n".join(failed)
    seen = [result for result in done if isinstance(result, tuple)]
    cuts, amid = sum(cuts for cuts, _ in seen), sum(amid for _, amid in seen)
    assert len(seen) == len(STREAMS)
    assert cuts > 2 * len(seen), "the third reader was hardly cut"
    assert amid > len(seen) / 3, "the second reader hardly ever came in the middle"
    assert sum(expected_answer(r).error for r in STREAMS.values()) >= 2, (
        "streams that break with an error were recorded"
    )


async def test_a_stream_that_breaks_off_fails_the_run_and_keeps_what_came(site: Site, provider: Provider) -> None:
    by_api = {r["api"]: r for r in sorted(STREAMS.values(), key=lambda r: len(objects(r)))}

    async def broken(asker: Client, api: str, recording: Recording) -> bool:
        provider.plays[api] = Play(recording, breaks=True)
        session = await asker.create(api)
        async with asyncio.timeout(40), session.live() as live:
            run = await session.send(api, agent="model")
            view = await live.until(over(run.id))
        said, whole = folded(view, run.id), expected_answer(recording)
        assert view.runs[run.id]["error"]["code"] == "upstream.failed", (api, view.runs[run.id])
        assert whole.text.startswith(said.text) and whole.reasoning.startswith(said.reasoning), api
        assert (said.text, said.reasoning, said.calls) != (whole.text, whole.reasoning, whole.calls), api
        assert {i["status"] for i in view.items if i["kind"] in ("message", "reasoning")} <= {"cut", "complete"}, api
        return bool(said.text or said.reasoning)

    async with Client(site.url, site.token()) as asker:
        kept = await asyncio.gather(*(broken(asker, api, recording) for api, recording in by_api.items()))
    assert sum(kept) > len(kept) / 2


def test_no_recording_is_left_out() -> None:
    found = recordings()
    assert {name.rpartition("/")[2] for name in found} == listed()
    reasons = Counter((r["api"], reason(r)) for r in found.values())
    assert {why for _, why in reasons} == {"", *WITHOUT_STREAM}
    streams = Counter({api: number for (api, why), number in reasons.items() if not why})
    assert streams == Counter(r["api"] for r in STREAMS.values())
    assert set(streams) == set(RELAYS) == set(READERS), "an API without a reader, or a reader without a recording"
    assert {r["framing"] for r in STREAMS.values()} == {*FRAMINGS, "websocket-json"}
    for name, recording in found.items():
        if name not in STREAMS:  # one document, whatever its name says
            assert not recording["streaming"] and recording["framing"] == "json", name
            assert not recording["response_body"] or json.loads(recording["response_body"]) is not None, name


@pytest.mark.parametrize("name", STREAMS)
def test_a_recording_says_something(name: str) -> None:
    said = expected_answer(STREAMS[name])
    assert said.text or said.reasoning or said.calls or name in SILENT
