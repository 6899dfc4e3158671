"""A recipe says how to speak to an endpoint: what to send for each verb, and where things stand in what comes back.

The audit's own drivers are recipes too, so a file can do whatever they do; see docs/reference/audit.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from holdfast.audit.values import names_in
from holdfast.errors import Refused

Verb = Literal["ask", "resume", "join", "history", "stop", "steer", "approve"]
VERBS: Final[tuple[Verb, ...]] = ("ask", "resume", "join", "history", "stop", "steer", "approve")
KNOWN: Final = frozenset(
    {"base", "prompt", "chat", "message", "tab", "device", "user", "run", "cursor", "approval", "text"}
)
"""Names every template may use (``base`` is the path of the target); what a recipe captures comes on top."""

RECIPE_BYTES: Final = 256 * 1024


class Call(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One HTTP request, or the messages to send on a connection.

    Attributes:
        method, path, headers, body: of the request; the path is relative to the target unless it begins with ``/``.
            A body that is a string is sent as it is, anything else as JSON.
        send: on a WebSocket: the messages to send, one after another. On Socket.IO: ``[event, argument…]`` each.
        capture: names for later templates, by path in the JSON answer.
        gives: what a resumed stream begins with: ``rest`` goes on after the cursor, ``all`` begins again.
    """

    method: str = "POST"
    path: str = ""
    headers: dict[str, str] = {}
    body: Any = None
    send: list[Any] = []
    capture: dict[str, str] = {}
    gives: Literal["rest", "all"] = "all"


class Rule(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a message means. Every rule that fits is applied; paths are as in ``values.look``.

    In server-sent events ``$event`` is the event's name and ``$data`` its data as text.

    Attributes:
        when: paths and the values they must have.
        each: a path to a list: the other paths, and ``where``, are then about each of its items.
        where: like ``when``, about the item.
        text, whole: more text of an answer; the whole of it. begin: an answer begins. end: how it ended.
        user, steer: words of a person. approval, resolved: the id of what waits, or was decided.
        agent: text of a sub-agent. by: who that is. id: what the message belongs to.
        cursor: where to resume. capture: names for later templates.
    """

    when: dict[str, Any] = {}
    each: str = ""
    where: dict[str, Any] = {}
    text: str = ""
    whole: str = ""
    begin: bool = False
    end: Literal["", "complete", "stopped", "error"] = ""
    user: str = ""
    steer: str = ""
    approval: str = ""
    resolved: str = ""
    agent: str = ""
    by: str = ""
    id: str = ""
    cursor: str = ""
    capture: dict[str, str] = {}


class Recipe(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How to speak to one kind of endpoint.

    Attributes:
        name: what the report calls it. about: one line for people. framework: whose three lines the prescription shows.
        transport: what carries it. shape: how a stream is cut into messages.
        connect: messages to send first on every connection (WebSocket, Socket.IO); path: where that connection is.
        ask: how to say something; of several calls the last one's answer is the stream.
        listens: the answer comes on the stream of ``join`` instead, which is opened first.
        resume: go on after a broken line. join: another client, or a reloaded page, follows what is going on.
        history: what was said so far. stop, steer, approve: control.
        read: what messages mean. read_history: what the answer to ``history`` means, when it is something else.
    """

    name: str = "recipe"
    about: str = ""
    framework: str = ""
    transport: Literal["http", "websocket", "socketio", "holdfast"] = "http"
    shape: Literal["sse", "ndjson", "text", "json"] = "sse"
    path: str = ""
    connect: list[Any] = []
    ask: list[Call] = []
    listens: bool = False
    resume: Call | None = None
    join: Call | None = None
    history: Call | None = None
    stop: Call | None = None
    steer: Call | None = None
    approve: Call | None = None
    read: list[Rule] = []
    read_history: list[Rule] = []

    def call(self, verb: Verb) -> Call | None:
        """What a verb takes; None when there is no such thing."""
        if verb == "ask":
            return self.ask[-1] if self.ask else None
        found: Call | None = getattr(self, verb)
        return found

    def sees(self, what: str) -> bool:
        """Whether any rule tells of this (``steer``, ``approval``, ``agent`` …)."""
        return any(getattr(rule, what) for rule in (*self.read, *self.read_history))


def check(recipe: Recipe) -> Recipe:
    """A recipe that can be followed.

    Raises:
        Refused: ``config.invalid``.
    """
    if recipe.transport != "holdfast" and not recipe.ask:
        raise Refused("config.invalid", f"recipe {recipe.name!r}: ask is missing")
    captured = {name for rule in recipe.read for name in rule.capture}
    calls = [*recipe.ask, *(c for v in VERBS[1:] if (c := recipe.call(v)))]
    captured |= {name for call in calls for name in call.capture}
    for call in calls:
        used = names_in([call.path, call.headers, call.body, call.send])
        if unknown := used - KNOWN - captured:
            raise Refused("config.invalid", f"recipe {recipe.name!r}: nothing is called {sorted(unknown)}")
    return recipe


def load(path: Path) -> Recipe:
    """Read a recipe file (YAML or JSON).

    Raises:
        Refused: ``config.invalid``, saying where it is wrong.
    """
    try:
        data = path.read_bytes()
        if len(data) > RECIPE_BYTES:
            raise Refused("config.invalid", f"{path}: larger than {RECIPE_BYTES} bytes")
        return check(msgspec.yaml.decode(data, type=Recipe))
    except (OSError, msgspec.DecodeError) as error:
        raise Refused("config.invalid", f"{path}: {error}") from None


def dump(recipe: Recipe) -> str:
    """A recipe as YAML, to begin one's own with."""
    return msgspec.yaml.encode(recipe).decode()


def schema() -> dict[str, Any]:
    """The JSON schema (2020-12) of recipe files."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Recipe)}
