"""What steps do, whatever the server: commands to the driver, and what its readers must have been given."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from conformance.cases import Case, filled
from conformance.driver import Driver
from conformance.match import Mismatch, Variables, short

SESSIONLESS = frozenset({"hello", "connect", "status", "reset", "fold", "cursor", "close"})
"""Commands that name no session; all others are about ``$session`` unless they say otherwise."""

Step = dict[str, Any]
Handler = Callable[[Step], Awaitable[None]]


class Steps:
    """Plays the steps of one case with one driver. Subclasses add the steps of their kind of server.

    Attributes:
        bound: the variables of the case.
        log: the events of the case, complete.
    """

    def __init__(self, case: Case, driver: Driver, session: str) -> None:
        self.driver = driver
        self.log = filled(case.body.get("log", []))
        self.bound = Variables({"$session": session})
        for name, how in case.body.get("let", {}).items():
            self.bound[f"${name}"] = how["repeat"] * how["times"] if isinstance(how, dict) else how
        self._pending: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self.handlers: dict[str, Handler] = {"do": self._do, "await": self._await, "reads": self._reads}

    async def play(self, steps: list[Step]) -> None:
        """Play them one after another. Raises ``Mismatch``, with the number of the step that did not go as written."""
        for number, step in enumerate(steps, 1):
            name = next(name for name in step if name in self.handlers)
            try:
                await self.handlers[name](step)
            except Mismatch as problem:
                raise Mismatch(f"step {number} ({name}): {problem}") from None
        await self.driver.ask("status")  # whatever was said before this answer has arrived
        if unread := self.driver.unread():
            raise Mismatch(f"readers were given more than expected: {short(unread)}")

    async def within(self, what: Awaitable[Any], name: str) -> Any:
        """Wait for something the client owes."""
        return await self.driver.within(what, name)

    # --- the driver
    def begin(self, command: str, fields: dict[str, Any]) -> asyncio.Future[dict[str, Any]]:
        """Send a command of the case to the driver."""
        if command not in SESSIONLESS:
            fields = {"session": "$session", **fields}
        return self.driver.post(command, **self.bound.fill(fields))

    async def _do(self, step: Step) -> None:
        answer = self.begin(step["do"], step.get("with", {}))
        if "as" in step:
            self._pending[step["as"]] = answer
        else:
            self.check(await self.within(answer, f"the answer to {step['do']}"), step)

    async def _await(self, step: Step) -> None:
        name = step["await"]
        self.check(await self.within(self._pending[name], f"the answer to {name}"), step)

    def check(self, answer: dict[str, Any], step: Step) -> None:
        """Whether an answer is the ``answer`` or ``error`` the step wants: success, where it names neither."""
        if "error" in step:
            wanted = {"code": step["error"]} if isinstance(step["error"], str) else step["error"]
            if "error" not in answer:
                raise Mismatch(f"expected the error {short(wanted)}, got {short(answer)}")
            self.bound.match(wanted, answer["error"], "error")
        elif "error" in answer:
            raise Mismatch(f"failed: {short(answer['error'])}")
        else:
            self.bound.match(step.get("answer", {}), answer.get("ok"), "answer")

    # --- readers
    def events(self, span: list[int]) -> list[dict[str, Any]]:
        """The events of the log from one position to another."""
        return [event for event in self.log if span[0] <= event["seq"] and event.get("to", event["seq"]) <= span[1]]

    async def _reads(self, step: Step) -> None:
        wanted = step.get("items", [])
        if "log" in step:
            wanted = [*wanted, *({"event": event} for event in self.events(step["log"]))]
        for number, item in enumerate(wanted, 1):
            got = await self.driver.item(step["reads"])
            try:
                self.bound.match(item, got)
            except Mismatch as problem:
                raise Mismatch(f"item {number}: {problem}") from None
            check_cursor(got)


def check_cursor(item: dict[str, Any]) -> None:
    """The cursor told with an item is the position after it."""
    for kind in ("event", "snapshot"):
        if kind in item:
            after = item[kind].get("to") or item[kind]["seq"]
            if (item.get("cursor") or {}).get("seq") != after:
                raise Mismatch(f"the cursor after {kind} {item[kind]['seq']} is {item.get('cursor')}")


def compact(value: Any) -> str:
    """One message, as a server writes it."""
    return json.dumps(value, separators=(",", ":"))
