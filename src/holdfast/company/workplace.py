"""Where the company works: its people's clients, its agents' worker, and its programs, all of them at the server's address.

It plays rounds (``plan.py``): everything of a round at the same time, and comes back when all of it is done.
"""

from __future__ import annotations

import asyncio
import random
import textwrap
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Self

import msgspec

from holdfast.agents.holdfast import Holdfast
from holdfast.client.run import Run
from holdfast.client.session import Session
from holdfast.company.agents import CompanyAgent
from holdfast.company.brake import BrakeAgent
from holdfast.company.conversation import ModelConversation
from holdfast.company.description import SCHEDULER, Company, UpstreamDescription, WorkflowDescription
from holdfast.company.models import Address, ModelClient, ModelRefused
from holdfast.company.plan import PlannedTurn, Round, Talk
from holdfast.company.words import sentences
from holdfast.edge import auth
from holdfast.gateway.person import PERSON_HEADER
from holdfast.governance.labels import SIGN_IN
from holdfast.protocol.view import ENDED

_SLOTS: Final = 64
_RIGHTS: Final = ["append", "control", "presence", "read", "record"]
_TTL_S: Final = 12 * 3_600
_INPUTS: Final = 12
_TITLE_CHARS: Final = 48


class Access(msgspec.Struct, frozen=True):
    """What the people, agents and programs of the company have been given.

    Attributes:
        server: address of the session server and the gateway; ``providers``: of the providers' server.
        secret: by which tokens are signed, as a local demo may.
        keys: workflow and person → gateway key. ``provider_keys``: name of a provider's key → its secret.
    """

    server: str
    providers: str
    secret: str
    keys: dict[str, dict[str, str]]
    provider_keys: dict[str, str]

    def __repr__(self) -> str:
        return f"Access({self.server!r})"


class Played(msgspec.Struct):
    """What came of rounds: runs that ended, by their status; calls of programs; what was refused; what people said of answers,
    by ``workflow model verdict``."""

    runs: int = 0
    statuses: dict[str, int] = {}
    programs: int = 0
    refused: dict[str, int] = {}
    verdicts: dict[str, int] = {}

    def add(self, other: Played) -> None:
        """Count another one."""
        self.runs += other.runs
        self.programs += other.programs
        for kind in ("statuses", "refused", "verdicts"):
            mine, theirs = getattr(self, kind), getattr(other, kind)
            for name, number in theirs.items():
                mine[name] = mine.get(name, 0) + number


class Workplace:
    """See the module; ``async with`` it."""

    def __init__(self, company: Company, access: Access) -> None:
        self._company, self._access = company, access
        self._models = ModelClient()
        self._people: dict[str, asyncio.Task[Holdfast]] = {}
        self._now_ms, self._day = 0, 0
        self._inputs: dict[str, str] = {}
        self._chats: dict[str, list[tuple[str, str]]] = {}
        self._serving: list[asyncio.Task[None]] = []
        self._upstreams = {model: one for one in company.upstreams for model in reversed(one.models)}
        self._workers: list[Holdfast] = []

    async def __aenter__(self) -> Self:
        await self._models.__aenter__()
        for workflow in self._company.workflows:
            anthropic, address = self.upstream(workflow).shape == "anthropic", self._addresses(workflow)
            if workflow.agent == "brake":
                await self._employ(workflow.name, BrakeAgent(workflow, anthropic, self._models, address("", False)))
            elif workflow.agent not in ("program", "chat"):
                await self._employ(workflow.name, CompanyAgent(workflow, anthropic, self._models, address))
        return self

    async def _employ(self, name: str, agent: CompanyAgent | BrakeAgent) -> None:
        """Serve an agent by a worker of its own, as teams do who write their agents themselves."""
        worker = Holdfast(self._access.server, self._token(f"agent:{name}", agents=[name]))
        self._workers.append(worker)
        await worker.connection.open(10)
        worker.add_agent(name, agent)
        self._serving.append(asyncio.create_task(worker.serve(_SLOTS), name=f"the agent {name}"))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for serving in self._serving:
            serving.cancel()
        if self._serving:
            await asyncio.wait(self._serving)
        clients = await asyncio.gather(*self._people.values(), return_exceptions=True)
        for client in (*self._workers, *clients):
            if isinstance(client, Holdfast):
                await client.close()
        await self._models.__aexit__()

    def upstream(self, workflow: WorkflowDescription) -> UpstreamDescription:
        """The first upstream that has a workflow's model."""
        return next(one for one in self._company.upstreams if workflow.model in one.models)

    def _token(self, subject: str, agents: Sequence[str] = ()) -> str:
        """A token; one of a person says that they signed in this morning, which nobody says of what no person waits for."""
        person = subject.startswith("user:") and subject != f"user:{SCHEDULER}"
        labels = {SIGN_IN: str(self._now_ms // 1_000)} if person and self._now_ms else {}
        return auth.mint(
            self._access.secret,
            subject=subject,
            capabilities={"*": _RIGHTS},
            agents=agents,
            ttl_s=_TTL_S,
            labels=labels,
        )

    def _addresses(self, workflow: WorkflowDescription):  # type: ignore[no-untyped-def]
        keys = self._access.keys[workflow.name]
        fallback = next(iter(keys.values()))
        upstream = self.upstream(workflow)

        def address(person: str, past: bool) -> Address:
            if past:
                url = provider_url(self._access.providers, upstream)
                return Address(url, self._access.provider_keys[upstream.key])
            return Address(self._access.server, keys.get(person, fallback))

        return address

    async def _person(self, name: str) -> Holdfast:
        task = self._people.get(name)
        if task is None:
            task = self._people[name] = asyncio.create_task(self._connect(name))
        return await asyncio.shield(task)

    async def _connect(self, name: str) -> Holdfast:
        client = Holdfast(self._access.server, self._token(f"user:{name}"), surface="web")
        await client.connection.open(10)
        return client

    # --- playing
    async def play(self, played: Round) -> Played:
        """Do everything of a round. Raises what the product raises that no plant explains."""
        found = Played()
        await self._begin(played.at_ms)
        async with asyncio.TaskGroup() as group:
            for talk in played.talks:
                group.create_task(self._talk(talk, found))
        return found

    async def _begin(self, at_ms: int) -> None:
        """On another day people sign in again."""
        self._now_ms, day = at_ms, at_ms // 86_400_000
        if day == self._day:
            return
        self._day, people, self._people = day, self._people, {}
        for client in await asyncio.gather(*people.values(), return_exceptions=True):
            if isinstance(client, Holdfast):
                await client.close()

    async def _talk(self, talk: Talk, found: Played) -> None:
        for turn in talk:
            await self._play(turn, found)

    async def _play(self, turn: PlannedTurn, found: Played) -> None:
        if turn.deed in ("ask", "again", "edit"):
            await self._ask(turn, found)
            return
        try:
            if turn.deed == "chat":
                await self._chat(turn, found)
            else:
                await {"program": self._program, "cut": self._cut, "outside": self._outside,
                       "stranger": self._stranger}[turn.deed](turn)  # fmt: skip
        except ModelRefused as error:
            found.refused[str(error.status)] = found.refused.get(str(error.status), 0) + 1
            return
        found.programs += 1
        if turn.deed == "chat":
            found.runs += 1
            found.statuses["completed"] = found.statuses.get("completed", 0) + 1

    async def _ask(self, turn: PlannedTurn, found: Played) -> None:
        client = await self._person(turn.person)
        session = client.session(turn.session)
        if turn.first:
            title = textwrap.shorten(turn.text.partition(".")[0], _TITLE_CHARS, placeholder=" …")
            await session.create(title=title, agent=turn.workflow)
        if turn.deed == "again":
            run = await session.regenerate(self._inputs[turn.session], agent=turn.workflow)
        else:
            meta = {"hints": turn.hints, "person": turn.person, "past": turn.past, "stamp": turn.stamp}
            edits = self._inputs[turn.session] if turn.deed == "edit" else None
            run = await session.send(turn.text, agent=turn.workflow, meta=meta, edits=edits)
            self._inputs[turn.session] = run.input
        status = await self._finished(session, run, reads=turn.reads)
        found.runs += 1
        found.statuses[status] = found.statuses.get(status, 0) + 1
        if status == "completed":
            await self._say(turn, self._company.workflow(turn.workflow).model, {"run": run.id}, found)

    async def _say(self, turn: PlannedTurn, model: str, work: dict[str, str], found: Played) -> None:
        """What the person who asked says of an answer, if anything."""
        verdict = turn.verdicts.get(model)
        if verdict is None:
            return
        producer = (await self._person(turn.person)).session(turn.session).producer()
        producer.put("outcome.recorded", {**work, "outcome": verdict})
        await producer.flush()
        name = f"{turn.workflow} {model} {verdict}"
        found.verdicts[name] = found.verdicts.get(name, 0) + 1

    async def _finished(self, session: Session, run: Run, *, reads: bool) -> str:
        async with session.live() as live:
            view = await live.until(lambda view: run.id in view.runs and view.runs[run.id]["status"] in ENDED)
            status, cursor = view.runs[run.id]["status"], live.cursor
        if reads and cursor is not None:
            await session.read(cursor.seq)
        return status

    # --- programs
    def _conversation(self, turn: PlannedTurn, workflow: WorkflowDescription) -> ModelConversation:
        """Its instructions, and what there is to look at."""
        chance = random.Random(f"document of {turn.session or turn.text}")
        anthropic = self.upstream(workflow).shape == "anthropic"
        instructions = sentences(random.Random(workflow.name), workflow.prompt)
        return ModelConversation(anthropic, (instructions, sentences(chance, turn.hints.get("document", 0))))

    async def _chat(self, turn: PlannedTurn, found: Played) -> None:
        """A chat client: it names a session, so its call is a run there, and sends all that was said in it."""
        workflow = self._company.workflow(turn.workflow)
        address = self._addresses(workflow)(turn.person, turn.past)
        person = {PERSON_HEADER: self._token(f"user:{turn.person}")}
        headers = {} if turn.past else {"x-holdfast-session": turn.session, **person}
        conversation = self._conversation(turn, workflow)
        earlier = self._chats.setdefault(turn.session, [])
        for role, text in (*earlier, ("user", turn.text)):
            conversation.say(role, text)
        model = turn.model or workflow.model
        answer = await self._models.stream(address, model, conversation, _words(turn), headers)
        earlier += [("user", turn.text), ("assistant", "".join([words async for words in answer.words()]))]
        await self._say(turn, answer.model, {"call": answer.call}, found)

    async def _program(self, turn: PlannedTurn) -> None:
        """A program that keeps no session."""
        workflow = self._company.workflow(turn.workflow)
        address = self._addresses(workflow)(turn.person, turn.past)
        if workflow.task == "embed":
            chance = random.Random(f"embed {turn.text}")
            texts = [sentences(chance, turn.hints["document"] // _INPUTS) for _ in range(_INPUTS)]
            body = msgspec.json.encode({"model": workflow.model, "input": texts})
            await self._models.post(f"{address.url}/v1/embeddings", address.key, body)
            return
        conversation = self._conversation(turn, workflow)
        conversation.say("user", turn.text)
        await self._models.whole(address, workflow.model, conversation, _words(turn), {})

    async def _cut(self, turn: PlannedTurn) -> None:
        workflow = self._company.workflow(turn.workflow)
        address = self._addresses(workflow)(turn.person, False)
        hints = {**_words(turn), "stall": turn.hints["stall"]}
        after = (turn.hints["stall"] - 12) * 4
        conversation = self._conversation(turn, workflow)
        conversation.say("user", turn.text)
        await self._models.leave(address, workflow.model, conversation, hints, after)

    async def _outside(self, turn: PlannedTurn) -> None:
        """Somebody's own program, with a key of the same provider that the gateway does not have."""
        key = next(name for name in self._access.provider_keys if name not in {u.key for u in self._company.upstreams})
        workflow = next(one for one in self._company.workflows if one.model == "claude-haiku-4-5")
        url = provider_url(self._access.providers, self.upstream(workflow))
        conversation = ModelConversation(True, ())
        conversation.say("user", sentences(random.Random(turn.text), turn.hints["document"]))
        address = Address(url, self._access.provider_keys[key])
        await self._models.whole(address, workflow.model, conversation, _words(turn), {})

    async def _stranger(self, turn: PlannedTurn) -> None:
        conversation = ModelConversation(False, ())
        conversation.say("user", turn.text)
        secret = random.Random(turn.person).randbytes(24).hex()
        headers = {"user-agent": turn.person}
        await self._models.whole(Address(self._access.server, f"sk-{secret}"), "gpt-5-mini", conversation, {}, headers)


def _words(turn: PlannedTurn) -> dict[str, int]:
    return {"words": turn.hints.get("words", 0), "rounds": 0}


def provider_url(base: str, upstream: UpstreamDescription) -> str:
    """Where a provider is, before ``/v1``."""
    return f"{base}/{upstream.provider}"


def secrets_of(keys: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """The providers' keys by name."""
    return {name: secret for secret, (_, name) in keys.items()}
