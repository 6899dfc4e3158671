"""``live`` cases: the client under test shares a real server with raw connections, over a link that breaks.

``server`` cases have no client: they hold the server to the protocol, message by message.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import msgspec

from conformance.cases import Case
from conformance.driver import Driver
from conformance.link import Link
from conformance.match import Mismatch, short
from conformance.site import Person, Site
from conformance.steps import Step, Steps
from holdfast.protocol.codec import canonical
from holdfast.protocol.events import Event
from holdfast.protocol.fold import View

CLIENT = "ann"
"""Who the client under test is."""


class Live(Steps):
    """Plays one case."""

    def __init__(self, case: Case, driver: Driver, site: Site, link: Link) -> None:
        super().__init__(case, driver, f"s-{secrets.token_hex(6)}")
        self._site, self._link = site, link
        self._tenant: str = self.bound["$session"]
        self._people: dict[str, Person] = {}
        self.handlers |= {
            "connect": self._connect, "by": self._by, "link": self._set_link, "exact": self._exact,
            "agrees": self._agrees,
        }  # fmt: skip

    async def _connect(self, step: Step) -> None:
        answer = self.begin("connect", {"server": self._link.url, "token": self._site.token(CLIENT, self._tenant)})
        self.check(await self.within(answer, "the answer to connect"), step)

    async def _set_link(self, step: Step) -> None:
        if step["link"] == "cut":
            self._link.cut()
        else:
            self._link.set(**self.bound.fill(step["link"]))

    # --- raw connections
    async def _person(self, name: str) -> Person:
        if name not in self._people:
            self._people[name] = await self._site.person(name, self._tenant)
        return self._people[name]

    async def _by(self, step: Step) -> None:
        """Somebody asks, says raw text, or hears something. What is heard in between is passed over."""
        person = await self._person(step["by"])
        if "ask" in step:
            op = {"session": self.bound["$session"], **step["ask"]}
            if op["op"] in ("serve", "heartbeat", "ping", "hello", "auth", "watch", "unwatch"):
                del op["session"]
            answer = await self.within(person.ask(self.bound.fill(op)), f"the answer to {op['op']}")
            self.check({"ok": answer} if answer["op"] == "ok" else answer, step)
        if "say" in step:
            text = step["say"]
            for name, value in sorted(self.bound.items(), key=lambda pair: -len(pair[0])):
                text = text.replace(name, str(value))
            await person.send_text(text)
        if "hears" in step:
            await self._hears(person, step["hears"])

    async def _hears(self, person: Person, wanted: dict[str, Any]) -> None:
        filter_ = {name: wanted[name] for name in ("op", "what", "session") if name in wanted}
        while True:
            got = await self.within(person.next_message(), f"{short(wanted)}")
            try:
                self.bound.match(self.bound.fill(filter_), got)
            except Mismatch:
                continue
            self.bound.match(wanted, got, wanted["op"])
            return

    async def leave(self) -> None:
        """Everybody goes."""
        for person in self._people.values():
            await person.close()

    # --- what is in the log
    async def _truth(self) -> list[dict[str, Any]]:
        """Every event of the session, read without any client library."""
        person = await self._site.person("judge", self._tenant)
        session = self.bound["$session"]
        head = await person.ask({"op": "subscribe", "session": session, "start": "tail"})
        start = {"incarnation": head["incarnation"], "seq": 0}
        await person.ask({"op": "unsubscribe", "session": session})
        head = await person.ask({"op": "subscribe", "session": session, "start": start})
        events: list[dict[str, Any]] = []
        while (events[-1].get("to", events[-1]["seq"]) if events else 0) < head["tail"]:
            message = await person.next_message()
            events += message["events"] if message["op"] == "events" else []
        await person.close()
        return events

    async def _exact(self, step: Step) -> None:
        """A reader was given the log: each event once, in order; a snapshot stands for what is folded into it."""
        truth = await self._truth()
        tail, at, view = truth[-1]["seq"], int(step.get("after", 0)), View()
        for event in msgspec.convert(truth[:at], list[Event]):
            view.apply(event)
        while at < tail:
            item = await self.driver.item(step["exact"])
            if "error" in item:
                raise Mismatch(f"the reader failed: {short(item['error'])}")
            if "snapshot" in item:
                at, view = item["snapshot"]["seq"], View.load(item["snapshot"]["view"])
            elif item["event"] != truth[at]:
                raise Mismatch(f"after {at}: expected {short(truth[at])}, got {short(item['event'])}")
            else:
                view.apply(msgspec.convert(item["event"], Event))
                at = item["event"]["seq"]
        same(view, fold(truth), "what the reader was given, folded,")

    async def _agrees(self, step: Step) -> None:
        """The client's view is the fold of the log."""
        truth = await self._truth()
        pending = self.begin("state", {"seq": truth[-1]["seq"]})
        answer = await self.within(pending, "the state")
        self.check(answer, {"answer": {"cursor": {"seq": truth[-1]["seq"]}}})
        if canonical(answer["ok"]["view"]) != canonical(fold(truth).export()):
            raise Mismatch(f"the client's view is not the fold of the log: {short(answer['ok']['view'])}")


def fold(events: list[dict[str, Any]]) -> View:
    """The view of a whole log."""
    view = View()
    for event in msgspec.convert(events, list[Event]):
        view.apply(event)
    return view


def same(got: View, wanted: View, what: str) -> None:
    """Raise ``Mismatch`` unless two views are equal to the byte."""
    if canonical(got.export()) != canonical(wanted.export()):
        raise Mismatch(f"{what} is not the view of the log")


async def play(case: Case, driver: Driver, site: Site) -> None:
    """Play a case: once, or for every boundary ``$n`` from 1 to ``every``. Raises ``Mismatch``."""
    for number in range(1, case.body.get("every", 1) + 1):
        async with Link(site.url) as link:
            live = Live(case, driver, site, link)
            live.bound["$n"] = number
            try:
                await live.play(case.body["steps"])
            except Mismatch as problem:
                raise Mismatch(f"$n = {number}: {problem}" if "every" in case.body else str(problem)) from None
            finally:
                await asyncio.shield(live.leave())
        if "every" in case.body:
            await driver.reset()
