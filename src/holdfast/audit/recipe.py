"""A recipe says how to speak to an endpoint: what to send for each verb, and where things stand in what comes back.

The audit's own drivers are recipes too, so a file can do whatever they do; see docs/reference/audit.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from msgspec import structs

from holdfast.audit.values import fill_some, names_in
from holdfast.errors import Refused

Verb = Literal["ask", "resume", "join", "history", "stop", "steer", "approve"]
VERBS: Final[tuple[Verb, ...]] = ("ask", "resume", "join", "history", "stop", "steer", "approve")
BUILT_IN_NAMES: Final = frozenset(
    {"base", "prompt", "chat", "message", "tab", "device", "user", "cursor", "approval", "text", "agent", "model"}
)
"""Names every template may use (``base`` is the path of the target); what a recipe captures comes on top."""
DEFAULT_NAMES: Final = {"agent": "agent", "model": "audit"}
"""Agent and model where none is named (``--agent``, ``--model``)."""

RECIPE_BYTES: Final = 256 * 1024


class RecipeCall(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One HTTP request, or the messages to send on a connection.

    Attributes:
        method, path, headers, body: of the request; the path is relative to the target unless it begins with ``/``.
            A body that is a string is sent as it is, anything else as JSON. form: the fields of an HTML form, instead.
        once: made once in a conversation's life, to create it say.
        send: on a WebSocket: the messages to send, one after another. On Socket.IO: ``[event, argument…]`` each.
        capture: names for later templates, by path in the JSON answer, or in the messages of a stream.
        gives: what a resumed stream begins with: ``rest`` goes on after the cursor, ``all`` begins again.
    """

    method: str = "POST"
    path: str = ""
    headers: dict[str, str] = {}
    body: Any = None
    form: dict[str, str] = {}
    once: bool = False
    send: list[Any] = []
    capture: dict[str, str] = {}
    gives: Literal["rest", "all"] = "all"

    @property
    def uses(self) -> set[str]:
        """The names its templates use."""
        return names_in([self.path, self.headers, self.body, self.form, self.send])


class Rule(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a message means. Every rule that fits is applied; paths are as in ``values.look``.

    ``$`` is the message itself, so ``0.content`` and ``$.0.content`` are both paths into one that is a list. In
    server-sent events ``$event`` is the event's name and ``$data`` its data as text.

    Attributes:
        when: paths and the values they must have.
        each: a path to a list (``$`` when the message is one): the other paths, and ``where``, are then about each of its
            items. A list whose items are given ``whole`` may come again, longer each time: it is the conversation.
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
        listens: the answer comes on the stream of ``join`` instead, which is opened first, or as soon as it is there.
        shared: captured names that stand in the conversation's address, so that every client of it knows them.
        find: what a client that knows only the address asks first, to capture ids that it needs.
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
    ask: list[RecipeCall] = []
    listens: bool = False
    shared: list[str] = []
    find: list[RecipeCall] = []
    resume: RecipeCall | None = None
    join: RecipeCall | None = None
    history: RecipeCall | None = None
    stop: RecipeCall | None = None
    steer: RecipeCall | None = None
    approve: RecipeCall | None = None
    read: list[Rule] = []
    read_history: list[Rule] = []

    def call(self, verb: Verb) -> RecipeCall | None:
        """What a verb takes; None when there is no such thing."""
        if verb == "ask":
            return self.ask[-1] if self.ask else None
        found: RecipeCall | None = getattr(self, verb)
        return found

    def sees(self, what: str) -> bool:
        """Whether any rule reads this (``steer``, ``approval``, ``agent`` …)."""
        return any(getattr(rule, what) for rule in (*self.read, *self.read_history))

    @property
    def calls(self) -> list[RecipeCall]:
        """Every request it makes."""
        return [*self.ask, *self.find, *(call for verb in VERBS[1:] if (call := self.call(verb)))]

    @property
    def captured(self) -> set[str]:
        """Names that are captured somewhere."""
        calls, rules = self.calls, [*self.read, *self.read_history]
        return {name for call in calls for name in call.capture} | {name for rule in rules for name in rule.capture}

    @property
    def names_in_history(self) -> set[str]:
        """Names that a client gets by reading the history."""
        rules = (self.read_history or self.read) if self.history is not None else []
        captured = self.history.capture if self.history is not None else {}
        return {*captured, *(name for rule in rules for name in rule.capture)}

    def with_target(self, agent: str = "", model: str = "") -> Recipe:
        """The recipe with the agent and the model to ask filled in."""
        names = {"agent": agent or DEFAULT_NAMES["agent"], "model": model or DEFAULT_NAMES["model"]}

        def fill_call(call: RecipeCall | None) -> RecipeCall | None:
            if call is None:
                return None
            filled = {
                part: fill_some(getattr(call, part), names) for part in ("path", "headers", "body", "form", "send")
            }
            return structs.replace(call, **filled)

        lists = {part: [fill_call(call) for call in getattr(self, part)] for part in ("ask", "find")}
        verbs = {verb: fill_call(self.call(verb)) for verb in VERBS[1:]}
        return structs.replace(self, **lists, **verbs)


def check(recipe: Recipe) -> Recipe:
    """A recipe that can be followed.

    Raises:
        Refused: ``config.invalid``.
    """
    if recipe.transport != "holdfast" and not recipe.ask:
        raise Refused("config.invalid", f"recipe {recipe.name!r}: ask is missing")
    if recipe.listens and recipe.join is None:
        raise Refused(
            "config.invalid", f"recipe {recipe.name!r}: listens says the answer comes on join, which is missing"
        )
    used = {name for call in recipe.calls for name in call.uses} | set(recipe.shared)
    if unknown := used - BUILT_IN_NAMES - recipe.captured:
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
