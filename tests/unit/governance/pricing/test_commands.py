"""``holdfast prices``, on a store's file and at a server; the same desk answers both."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from typer.testing import CliRunner

from holdfast.errors import HoldfastError, Refused
from holdfast.extensions import RouteCall, full_access
from holdfast.governance.pricing.commands import app
from holdfast.governance.pricing.desk import ACTIONS, PriceDesk
from holdfast.governance.pricing.routes import ROOT, routes
from holdfast.governance.pricing.service import Prices
from holdfast.governance.store.store import Store
from tests.unit.governance.pricing.usages import NOW


class Speaker:
    """Keeps what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.answers: list[Any] = []

    def say(self, *parts: Any) -> None:
        self.lines.append(" ".join(map(str, parts)))

    def say_json(self, value: Any) -> None:
        self.answers.append(value)

    def table(self, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
        return "\n".join(" | ".join(map(str, row)) for row in (tuple(columns), *rows))


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """Run a command on a store in a file: ``run("list")`` is what it said; an error of ours is raised."""

    def call(*arguments: str, as_json: bool = False) -> Any:
        speaker = Speaker()
        options = ["--governance", str(tmp_path / "store.db"), *(["--json"] if as_json else [])]
        done = CliRunner().invoke(app, [*options, *arguments], obj=speaker)
        if isinstance(done.exception, HoldfastError):
            raise done.exception
        assert done.exit_code == 0, done.output
        return speaker.answers[0] if as_json else "\n".join(speaker.lines)

    return call


def test_models_and_their_prices_are_listed(run: Any) -> None:
    assert "openai | gpt-5-mini | genai-prices" in run("list", "--provider", "openai", "--model", "gpt-5*")
    shown = run("show", "gpt-5.4", "--provider", "openai", "--at", "2026-11-20")
    assert (
        "standard |  | input | 2.5" in shown
        and "standard | above 272,000 | input | 5" in shown
        and "flex |  | input" in shown
    )
    with pytest.raises(Refused) as refused:
        run("show", "gpt-99", "--provider", "openai")
    assert refused.value.code == "price.missing"


def calc(run: Any, wire: str, model: str, provider: str, usage: dict[str, Any], *more: str) -> Any:
    return run(
        "calc", "--wire", wire, "--model", model, "--provider", provider, "--usage", json.dumps(usage), "--at", "2026-11-20", *more,
        as_json=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("wire", "provider", "model", "usage", "nano"),
    [
        ("anthropic.messages", "anthropic", "claude-opus-4-8", {"input_tokens": 0, "output_tokens": 0, "cache_creation_input_tokens": 9_634,
         "cache_creation": {"ephemeral_1h_input_tokens": 9_634, "ephemeral_5m_input_tokens": 0}}, [96_340_000]),
        ("bedrock.converse", "aws", "global.anthropic.claude-opus-4-8-v1:0", {"inputTokens": 0, "outputTokens": 0,
         "cacheWriteInputTokens": 9_634, "cacheDetails": [{"ttl": "1h", "inputTokens": 9_634}]}, [96_340_000]),
        ("openai.chat", "openai", "gpt-5-mini", {"service_tier": "flex", "usage": {"prompt_tokens": 2_000, "completion_tokens": 500,
         "prompt_tokens_details": {"cached_tokens": 1_000}}}, [637_500]),
        ("openai.chat", "openai", "gpt-5", {"prompt_tokens": 100_000, "completion_tokens": 0,
         "prompt_tokens_details": {"cached_tokens": 80_000}}, [35_000_000]),
        ("openai.chat", "x-ai", "grok-3-mini", {"prompt_tokens": 12, "completion_tokens": 2, "total_tokens": 334,
         "completion_tokens_details": {"reasoning_tokens": 320}}, [12 * 300 + 322 * 500]),
        ("google.generateContent", "google", "gemini-2.5-pro", {"promptTokenCount": 300_000, "candidatesTokenCount": 5,
         "thoughtsTokenCount": 6, "totalTokenCount": 300_011}, [300_000 * 2_500 + 11 * 15_000]),
        ("classes", "openai", "tts-1", {"characters": 43}, [645_000]),
    ],
)  # fmt: skip
def test_a_usage_as_the_provider_wrote_it_is_calculated(
    run: Any, wire: str, provider: str, model: str, usage: dict[str, Any], nano: list[int]
) -> None:
    assert [part["priced"]["list_nano"] for part in calc(run, wire, model, provider, usage)] == nano


def test_every_model_that_took_part_is_calculated_at_its_own_rate(run: Any) -> None:
    declined = {
        "type": "message", "model": "claude-fable-5", "input_tokens": 2, "output_tokens": 578,
        "cache_creation_input_tokens": 10_421, "cache_read_input_tokens": 72_769,
    }  # fmt: skip
    served = {
        "type": "fallback_message", "model": "claude-opus-4-8", "input_tokens": 2, "output_tokens": 13_658,
        "cache_creation_input_tokens": 0, "cache_read_input_tokens": 79_214,
    }  # fmt: skip
    top = {key: value for key, value in served.items() if key not in ("type", "model")}
    found = calc(run, "anthropic.messages", "claude-opus-4-8", "anthropic", {**top, "iterations": [declined, served]})
    assert [(part["billed"]["kind"], part["priced"]["list_nano"]) for part in found] == [
        ("message", 231_951_500), ("fallback_message", 381_067_000),
    ]  # fmt: skip


def test_a_calculation_is_shown_by_class_and_says_what_has_no_price(run: Any) -> None:
    said = run(
        "calc",
        "--wire",
        "classes",
        "--model",
        "gpt-4",
        "--provider",
        "openai",
        "--usage",
        '{"input": 1000, "images": 1}',
    )
    assert (
        "gpt-4 | input | 1,000 | 0.03" in said
        and "images |  | no price" in said
        and "in all | standard | unknown" in said
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("calc", "--wire", "smoke.signals", "--model", "m", "--provider", "p", "--usage", "{}"),
            "smoke.signals is not read",
        ),
        (("calc", "--wire", "classes", "--model", "m", "--provider", "p", "--usage", "{"), "no JSON"),
        (("calc", "--wire", "classes", "--model", "m", "--provider", "p", "--usage", "[1]"), "no JSON object"),
        (("calc", "--wire", "classes", "--model", "m", "--provider", "p", "--usage", '{"input": -1}'), "input is -1"),
        (("changes", "--state", "lost"), "no change is 'lost'"),
        (("propose", "/nowhere/at/all", "--why", "x"), "cannot read"),
        (("propose", "-", "--kind", "guess", "--why", "x"), "guess"),
        (("waive", "m", "--why", "x", "--until", "31d"), "within 30 days"),
        (("waive", "m", "--why", "x", "--until", "5d", "--rate", "input:3"), "NAME=VALUE"),
    ],
)
def test_what_is_wrong_is_said(run: Any, arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(HoldfastError, match=words):
        run(*arguments)


def test_a_price_is_proposed_from_a_file_shown_and_approved(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "price.yaml"
    file.write_text(
        "provider: own\nmodel: ours-1\nfrom: 2026-01-01\nprices:\n  input: {base: 1.5, steps: [[200000, 3]]}\n  output: 6\n"
    )
    said = run("propose", str(file), "--why", "our own server")
    assert "ours-1 | standard | input |  | 1.5, above 200000: 3" in said and "proposed as change-" in said
    change = said.rpartition("proposed as ")[2]
    assert f"{change} | override | proposed" in run("changes")
    assert "nobody else" in run("approve", change)
    assert "ours-1 | change-" in run("list", "--provider", "own")
    assert "standard | above 200,000 | input | 3" in run("show", "ours-1", "--provider", "own")
    back = run("propose", "-", "--kind", "withdraw", "--set", f"override={change}", "--why", "wrong").rpartition(
        " as "
    )[2]
    assert "is rejected" in run("reject", back, "--words", "no")


def test_a_card_in_yaml_has_numbers_and_dates_as_they_are_written(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "card.yaml"
    file.write_text(
        "upstream: main\nfrom: 2026-01-01\ndiscounts:\n- {models: 'gpt-*', percent: 12.5}\nprovisioned:\n"
        "- {name: ptu, models: 'gpt-5', units: 3, hourly: 1.25, from: 2026-01-01, until: 2027-01-01, only_stated: true}\n"
    )
    change = run("propose", str(file), "--kind", "card", "--why", "signed").rpartition(" as ")[2]
    run("approve", change)
    (card,) = [one for one in run("cards", as_json=True) if one["id"] == change]
    assert card["discounts"][0]["percent"] == "12.5" and card["provisions"][0]["units"] == 3
    assert card["provisions"][0]["only_stated"] is True and card["provisions"][0]["hourly_nano"] == 1_250_000_000


def test_a_model_is_waived_and_the_waiver_taken_back(run: Any) -> None:
    said = run("waive", "ours-*", "--why", "trial", "--until", "14d", "--provider", "own", "--rate", "input=3")
    waiver = said.rpartition(": ")[2]
    assert f"{waiver} | ours-*" in run("waivers")
    (waiver_row,) = run("waivers", as_json=True)
    assert waiver_row["rates"]["input"]["base"] == "3000"
    run("revoke", waiver)
    assert run("waivers", as_json=True)[0]["revoked_ms"] is not None


def test_rates_of_currencies_are_imported(run: Any, tmp_path: Path) -> None:
    (tmp_path / "rates.csv").write_text("day,currency,usd\n2026-11-19,EUR,1.1\n")
    assert "1 rates" in run("currency", str(tmp_path / "rates.csv"), "--source", "ecb")


# --- at a server --------------------------------------------------------------------------------------------------------
def server(desk: PriceDesk) -> Starlette:
    """The routes as a server would serve them, without its doors; the actor is ``user:ann``."""

    def endpoint(route: Any) -> Any:
        async def handle(request: Request) -> Any:
            try:
                body = msgspec.json.decode(await request.body(), type=route.body) if route.body else None
                return JSONResponse(await route.handler(RouteCall(request, full_access("t", "user:ann"), body)))
            except HoldfastError as error:
                return JSONResponse({"error": error.wire()}, 403)

        return Route(route.path, handle, methods=[route.method])

    return Starlette(routes=[endpoint(route) for route in routes(desk)])


def test_routes_are_below_the_path_of_extensions_and_name_their_capability() -> None:
    made = routes(PriceDesk(Prices(SimpleNamespace(), lambda: NOW), lambda: NOW))  # type: ignore[arg-type]
    assert len(made) == len(ACTIONS) and all(route.path.startswith(f"{ROOT}/") for route in made)
    assert {route.verb for route in made} == {"spend", "catalogue", "waive"}
    assert all(route.verb != "spend" or route.method == "GET" or route.path.endswith("/calculate") for route in made)


@pytest.mark.anyio
async def test_a_command_asks_a_server(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    prices = Prices(store, store.now_ms)
    await prices.open()
    transport = httpx.ASGITransport(server(PriceDesk(prices, store.now_ms)))

    async def ask(method: str, url: str, **more: Any) -> httpx.Response:
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.request(method, url, **more)

    base = f"http://server{ROOT}"
    found = (await ask("GET", f"{base}/models", params={"provider": "openai", "model": "gpt-5"})).json()
    assert found == [{"provider": "openai", "model": "gpt-5", "from": "genai-prices"}]
    shown = (await ask("GET", f"{base}/models/openrouter/anthropic/claude-opus-4.8")).json()
    assert shown["prices"][0]["steps"][0]["prices"]["input"] == "5"
    document = {"provider": "own", "model": "m", "prices": {"input": "1"}}
    body = {"kind": "override", "document": document, "why": "x"}
    proposed = (await ask("POST", f"{base}/changes", json=body)).json()
    assert proposed["change"]["by"] == "user:ann" and proposed["diff"]["count"] == 1
    change = proposed["change"]["id"]
    assert (await ask("GET", f"{base}/changes/{change}/diff")).json() == proposed["diff"]
    assert (await ask("POST", f"{base}/changes/{change}/approve", json={})).json()["alone"] is True
    refused = await ask("POST", f"{base}/changes/{change}/approve", json={})
    assert refused.json()["error"]["code"] == "price.decided"
    assert (await ask("GET", f"{base}/catalogue")).json()["overrides"][0]["model"] == "m"
    waiver = (await ask("POST", f"{base}/waivers", json={"model": "x", "why": "y", "until": "5d"})).json()
    assert (await ask("DELETE", f"{base}/waivers/{waiver['id']}")).json() == {"revoked": waiver["id"]}


def test_the_command_sends_what_the_routes_take(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        if request.url.path.endswith("/reject"):
            return httpx.Response(
                409, json={"error": {"code": "price.decided", "message": "it is approved", "retry": False}}
            )
        return httpx.Response(200, json={"prices": []})

    client = httpx.Client(transport=httpx.MockTransport(answer))
    monkeypatch.setattr(httpx, "request", client.request)
    speaker = Speaker()
    options = ["--url", "http://server/", "--token", "secret-token"]
    CliRunner().invoke(
        app, [*options, "show", "anthropic/claude opus", "--provider", "openrouter", "--at", "2026-01-01"], obj=speaker
    )
    assert str(sent[0].url) == f"http://server{ROOT}/models/openrouter/anthropic/claude%20opus?at=2026-01-01"
    assert sent[0].headers["authorization"] == "Bearer secret-token"
    refused = CliRunner().invoke(app, [*options, "reject", "change-1", "--words", "no"], obj=speaker)
    assert isinstance(refused.exception, Refused) and refused.exception.code == "price.decided"
    assert sent[1].content == b'{"words":"no"}' and "secret-token" not in str(refused.exception)
