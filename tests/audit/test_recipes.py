"""The language of recipes: paths, conditions, forms, who may know what, and streams that do not exist yet."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec
import pytest

from holdfast.audit import recipe as recipes
from holdfast.audit.baseline import ENOUGH_PIECES
from holdfast.audit.budget import ProbeBudget, Redactor
from holdfast.audit.drivers import registry
from holdfast.audit.endpoint import Endpoint
from holdfast.audit.examine import examine
from holdfast.audit.finding import Contact
from holdfast.audit.lab import AuditOptions, Lab
from holdfast.audit.parsing import MessageSplitter, StreamParser
from holdfast.audit.recipe import Recipe, RecipeCall, Rule
from holdfast.audit.transcript import Transcript
from holdfast.errors import Refused
from tests.audit.conftest import raw_server
from tests.audit.test_drivers import sse

pytestmark = pytest.mark.anyio
WORDS = [f"w{n} " for n in range(20)]


def page_of(rules: list[Rule], *messages: Any, event: str = "") -> Transcript:
    page, reader, cutter = Transcript(), StreamParser(rules, {}), MessageSplitter("sse")
    head = f"event: {event}\n" if event else ""
    for message in messages:
        for one in cutter.feed(f"{head}data: {json.dumps(message)}\n\n".encode()):
            for piece in reader.parse(one):
                page.apply(piece)
    return page


# --- paths ----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", ["0.content", "$.0.content", "data.0.content"])
async def test_a_message_that_is_a_list_is_read_by_the_documented_path(path: str) -> None:
    rules = [Rule(when={"0.type": "chunk"}, text=path, id="0.id")]
    page = page_of(rules, *[[{"type": "chunk", "content": text, "id": "a"}, {"node": "n"}] for text in ("Hel", "lo")])
    assert (page.answer, page.others) == ("Hello", 0)


async def test_each_item_of_a_message_that_is_a_list() -> None:
    page = page_of([Rule(each="$", where={"t": "delta"}, text="text")], [{"t": "x"}, {"t": "delta", "text": "a"}], [])
    assert page.answer == "a"


@pytest.mark.parametrize("path", ["$", "data"])
async def test_a_message_that_is_only_text(path: str) -> None:
    assert page_of([Rule(text=path)], "Hel", "lo").answer == "Hello"


async def test_a_field_called_data_is_that_field() -> None:
    assert page_of([Rule(text="data.text")], {"data": {"text": "a"}}).answer == "a"
    assert page_of([Rule(text="data.text")], {"text": "a"}).answer == ""


# --- conditions -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("when", "message", "fits"),
    [
        ({"partial": True}, {"partial": True}, True), ({"partial": True}, {"partial": False}, False),
        ({"partial": True}, {}, False), ({"partial": False}, {"partial": False}, True),
        ({"partial": False}, {}, True), ({"partial": False}, {"partial": True}, False),
        ({"partial": False}, {"partial": None}, True), ({"n": True}, {"n": 0}, True), ({"n": 1}, {"n": True}, False),
        ({"n": 0}, {"n": False}, False), ({"t": ["a", "b"]}, {"t": "b"}, True), ({"t": ["a", "b"]}, {"t": "c"}, False),
        ({"t": ["a", False]}, {}, True), ({"t": ""}, {"t": ""}, True),
    ],
)  # fmt: skip
async def test_what_a_condition_matches(when: dict[str, Any], message: dict[str, Any], fits: bool) -> None:
    page = page_of([Rule(when=when, text="text")], {**message, "text": "x"})
    assert (page.answer == "x", page.others == 0) == (fits, fits)


# --- the whole conversation, again and again ------------------------------------------------------------------------------
TOLD = [
    Rule(each="messages", where={"role": "user"}, user="text"),
    Rule(each="messages", where={"role": "assistant"}, whole="text"),
]


def messages(*texts: str) -> dict[str, Any]:
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[number % 2], "text": text} for number, text in enumerate(texts)]}


async def test_a_list_that_comes_again_is_the_same_conversation() -> None:
    page = page_of(TOLD, messages("q"), messages("q", "a"), messages("q", "a b"), messages("q", "a b", "r", "c"))
    assert page.outline() == [("user", "q"), ("answer", "a b"), ("user", "r"), ("answer", "c")]


async def test_a_list_of_what_is_new_is_not_taken_for_the_conversation() -> None:
    ended = [TOLD[0], Rule(each="messages", where={"role": "assistant"}, whole="text", end="complete")]
    page = page_of(ended, messages("q", "a"), messages("r", "c"))
    assert page.outline() == [("user", "q"), ("answer", "a"), ("user", "r"), ("answer", "c")]


@pytest.mark.parametrize("ids", [True, False])
async def test_what_a_page_says_beyond_an_earlier_one(ids: bool) -> None:
    rule = Rule(each="messages", where={"role": "assistant"}, whole="text", id="id" if ids else "")

    def said(*texts: str) -> Transcript:
        return page_of(
            [rule], {"messages": [{"role": "assistant", "text": t, "id": f"m{n}"} for n, t in enumerate(texts)]}
        )

    earlier = said("one")
    assert [entry.text for entry in said("one", "two").since(earlier)] == ["two"]
    assert [entry.text for entry in said("one").since(earlier)] == ["one"], "another answer with the same words"


async def test_messages_of_one_answer_are_one_answer() -> None:
    page = page_of(
        [Rule(text="text", id="id"), Rule(user="said")],
        {"said": "q"},
        {"text": "a", "id": "1"},
        {"text": "b", "id": "2"},
    )
    assert page.outline()[-1] == ("answer", "ab")


async def test_an_answer_in_two_messages_ends_with_its_run() -> None:
    """What comes between them, a tool that takes its time, is not the end."""
    page, reader, cutter = Transcript(), StreamParser(registry.RECIPES["ag-ui"].read, {}), MessageSplitter("sse")
    ends = []
    for ident in ("m1", "m2", ""):
        events = [
            {"type": "TEXT_MESSAGE_START", "messageId": ident, "role": "assistant"},
            {"type": "TEXT_MESSAGE_CONTENT", "messageId": ident, "delta": ident},
            {"type": "TEXT_MESSAGE_END", "messageId": ident},
        ] if ident else [{"type": "RUN_FINISHED", "threadId": "t", "runId": "r"}]  # fmt: skip
        for message in cutter.feed(sse(*events)):
            for piece in reader.parse(message):
                page.apply(piece)
        ends.append(page.ended)
    assert ends == [0, 0, 2] and page.answer == "m1m2" and page.others == 0


# --- requests -------------------------------------------------------------------------------------------------------------
@dataclass
class Asked:
    """What a server was sent: method, path, headers in lower case, body."""

    requests: list[tuple[str, str, dict[str, str], str]] = field(default_factory=list)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, path, _ = head.split("\r\n")[0].split(" ")
        headers = {k.lower(): v for k, v in re.findall(r"^([\w-]+): ?(.*?)\r$", head, re.MULTILINE)}
        body = (await reader.readexactly(int(headers.get("content-length", 0)))).decode()
        self.requests.append((method, path, headers, body))
        await self.answer(method, path, writer)

    async def answer(self, method: str, path: str, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\n\r\n")
        for word in WORDS:
            writer.write(b"data: %b\n\n" % json.dumps({"t": word}).encode())
            await writer.drain()


SAYS = [Rule(when={"t": True}, text="t")]
NASTY = "a & b = {c} ü?"


def made(port: int, recipe: Recipe, **budget: Any) -> Endpoint:
    given = {"requests": 100, "ask_above": 100, "total_s": 60, "answer_s": 5, **budget}
    return registry.endpoint(f"http://127.0.0.1:{port}/base", recipe, ProbeBudget(**given), {}, frozenset())


async def contact(port: int, recipe: Recipe, prompt: str = "one", **budget: Any) -> Contact:
    endpoint = made(port, recipe, **budget)
    found, _ = await examine(endpoint, AuditOptions(prompt=prompt), endpoint.budget, Redactor(), probes=[])
    return found


@pytest.mark.parametrize(
    "call",
    [
        RecipeCall(form={"message": "{prompt}", "stream": "true"}),
        RecipeCall(headers={"Content-Type": "application/x-www-form-urlencoded"}, body="message={prompt}&stream=true"),
    ],
    ids=["form", "text"],
)
async def test_a_form_holds_what_was_asked_whatever_that_is(call: RecipeCall) -> None:
    asked = Asked()
    async with raw_server(asked) as port:
        await contact(port, Recipe(ask=[call], read=SAYS), NASTY)
    _, _, headers, body = asked.requests[0]
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qs(body) == {"message": [NASTY], "stream": ["true"]}


async def test_what_is_asked_in_an_address_is_encoded() -> None:
    asked = Asked()
    async with raw_server(asked) as port:
        await contact(port, Recipe(ask=[RecipeCall(method="GET", path="{base}/ask?q={prompt}&n=1")], read=SAYS), NASTY)
    path = asked.requests[0][1]
    assert path.startswith("/base/ask?q=") and path.endswith("&n=1")
    assert unquote(path.split("q=")[1].removesuffix("&n=1")) == NASTY


async def test_what_is_made_once_is_made_once_in_a_conversation() -> None:
    asked = Asked()
    recipe = Recipe(ask=[RecipeCall(method="PUT", path="/{chat}", once=True), RecipeCall(path="/{chat}")], read=SAYS)
    async with raw_server(asked) as port:
        endpoint = made(port, recipe)
        lab = Lab(endpoint, endpoint.budget, AuditOptions(), Redactor(), Contact(state="ok", message=""))
        async with lab.trial() as trial:
            tab = await trial.tab("A")
            for _ in range(2):
                await trial.wait_finished(tab, await trial.ask(tab))
    assert [method for method, *_ in asked.requests] == ["PUT", "POST", "POST"]


async def test_whom_to_ask_is_filled_in() -> None:
    asked = Asked()
    recipe = Recipe(ask=[RecipeCall(path="/{agent}", body={"model": "{model}", "text": "{prompt}"})], read=SAYS)
    async with raw_server(asked) as port:
        await contact(port, recipe.with_target("writer", "big"), "hi")
        await contact(port, recipe, "hi")
    first, last = asked.requests[0], asked.requests[-1]
    assert (first[1], json.loads(first[3])) == ("/writer", {"model": "big", "text": "hi"})
    assert json.loads(last[3])["model"] == "audit"


@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        (Recipe(ask=[RecipeCall()], listens=True), "listens"),
        (Recipe(ask=[RecipeCall()], shared=["thread"]), "thread"),
        (Recipe(ask=[RecipeCall(body="{run}")]), "run"),
    ],
)
async def test_a_recipe_that_cannot_work_is_refused(recipe: Recipe, told: str) -> None:
    with pytest.raises(Refused, match=told):
        recipes.check(recipe)


async def test_what_the_history_tells_may_be_used() -> None:
    told = [Rule(capture={"run": "run_id"})]
    join, history = RecipeCall(method="GET", path="/{run}"), RecipeCall(method="GET", path="/h")
    assert recipes.check(Recipe(ask=[RecipeCall()], join=join, history=history, read_history=told))


# --- streams that do not exist yet ----------------------------------------------------------------------------------------
class Later(Asked):
    """A stream is there once something was said to it ``needs`` times; before that it is a 404."""

    def __init__(self, needs: int) -> None:
        super().__init__()
        self.needs, self.said = needs, 0

    async def answer(self, method: str, path: str, writer: asyncio.StreamWriter) -> None:
        self.said += method == "POST"
        if method == "POST" or self.said < self.needs:
            writer.write(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % (202 if method == "POST" else 404))
        else:
            await super().answer(method, path, writer)


LISTENS = Recipe(
    ask=[RecipeCall(path="/{chat}")], join=RecipeCall(method="GET", path="/{chat}"), listens=True, read=SAYS
)


async def test_listening_on_a_stream_that_the_first_message_makes() -> None:
    async with raw_server(Later(1)) as port:
        found = await contact(port, LISTENS)
    assert (found.state, found.answer_chars) == ("ok", len("".join(WORDS))), found


async def test_a_stream_that_never_comes_to_be_is_said_to_be_that() -> None:
    async with raw_server(Later(99)) as port:
        found = await contact(port, LISTENS, first_s=0.5)
    assert (
        found.state == "refused" and "the stream to listen on was not there within 0.5 s: HTTP 404" in found.message
    ), found


class Named(Asked):
    """A stream has a name that only the answer to what was said tells."""

    async def answer(self, method: str, path: str, writer: asyncio.StreamWriter) -> None:
        if method == "POST":
            body = json.dumps({"run": "r7"}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        else:
            await super().answer(method, path, writer)


async def test_listening_on_a_stream_whose_name_the_answer_tells() -> None:
    asked = Named()
    recipe = Recipe(
        ask=[RecipeCall(path="/{chat}", capture={"run": "run"})], join=RecipeCall(method="GET", path="/runs/{run}"), listens=True, read=SAYS,
    )  # fmt: skip
    async with raw_server(asked) as port:
        assert (await contact(port, recipe)).state == "ok"
    assert next(path for method, path, *_ in asked.requests if method == "GET") == "/runs/r7"


# --- rules that never match -----------------------------------------------------------------------------------------------
class Ends(Asked):
    """Tokens in a field that the recipe may not know, then the whole in another."""

    async def answer(self, method: str, path: str, writer: asyncio.StreamWriter) -> None:
        await super().answer(method, path, writer)
        writer.write(b"data: %b\n\n" % json.dumps({"done": "".join(WORDS)}).encode())


@pytest.mark.parametrize(
    ("rules", "silent"),
    [
        (
            [Rule(when={"t": True}, text="token"), Rule(when={"done": True}, whole="done", end="complete")],
            "`text: token`",
        ),
        ([Rule(when={"type": "t"}, text="t"), Rule(when={"done": True}, whole="done", end="complete")], "`text: t`"),
        ([Rule(when={"t": True}, text="token"), Rule(when={"done": True}, end="complete")], "`text: token`"),
        ([Rule(text="token")], "`text: token`"),
    ],
    ids=["another field", "another type", "no text at all", "a rule for everything"],
)
async def test_a_text_rule_that_never_matched_is_reported_as_that(rules: list[Rule], silent: str) -> None:
    async with raw_server(Ends()) as port:
        found = await contact(port, Recipe(ask=[RecipeCall()], read=rules))
    assert found.state in ("unmatched", "garbage"), found
    assert "text rule never matched" in found.message and silent in found.message and "longer" not in found.message, (
        found.message
    )
    assert len(WORDS) >= ENOUGH_PIECES


# --- the documents --------------------------------------------------------------------------------------------------------
def examples() -> list[str]:
    page = Path(__file__).parents[2] / "docs" / "reference" / "audit.md"
    blocks: list[str] = re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)
    return [block for block in blocks if block.startswith("name:")]


@pytest.mark.parametrize("text", examples(), ids=lambda text: text.splitlines()[0])
async def test_the_documented_recipes_are_ones(text: str) -> None:
    assert recipes.check(msgspec.yaml.decode(text, type=Recipe))


async def test_there_is_an_example_of_a_form() -> None:
    assert any("form:" in text for text in examples())
    assert any("each: $" in text for text in examples())
