"""What is refused, in OpenAI's shape, and that nothing was written."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest

from holdfast.client.client import Client

from .conftest import Site
from .test_python_client import echo

pytestmark = pytest.mark.anyio

MALFORMED: list[Any] = [
    "", "{", "[]", "null", '"x"', '{"input":"x"}', '{"model":"","input":"x"}', '{"model":"echo"}',
    '{"model":"echo","input":""}', '{"model":"echo","input":[]}', '{"model":"echo","input":7}',
    '{"model":"echo","input":[7]}', '{"model":"echo","input":"x","stream":"yes"}',
    '{"model":"echo","input":[{"role":"user","content":7}]}', '{"model":"echo","input":[{"type":"magic"}]}',
    '{"model":"echo","input":[{"role":"user","content":[7]}]}', '{"model":"echo","input":[{"type":7}]}',
    '{"model":"echo","input":[{"type":"function_call_output","output":"x"}]}',
    '{"model":"echo","input":[{"type":"mcp_approval_response","approve":true}]}',
    '{"model":"echo","input":"x","conversation":"a/b"}', '{"model":"echo","input":"x","conversation":{}, "metadata":{"a":1}}',
    '{"model":"echo","input":"x","conversation":"c","previous_response_id":"resp_1_0_a_c"}',
    '{"model":"echo","input":"x","previous_response_id":"resp_1"}',
    '{"model":"echo","input":"x","previous_response_id":"resp_2_0_a_nowhere"}',
    '{"model":"echo","input":"\\ud800"}', '{"model":"echo","input":"x","prompt":{"id":"p"}}',
    '{"model":"echo","input":[{"role":"user","content":[{"type":"input_image","image_url":"data:image/png,x"}]}]}',
    '{"model":"echo","input":[{"role":"user","content":"x"}],"tools":7}', b'{"model":"echo","input":"\xff"}',
    '{"model":"%s","input":"x"}' % ("e" * 300), '{"model":"echo","input":"%s"}' % ("e" * 300_000),
    "[" * 100_000, '{"model":"echo","input":"x","conversation":{}}', '{"model":"echo","input":"x","conversation":{"id":null}}',
    '{"model":"echo","input":"x","temperature":"hot"}', '{"model":"echo","input":"x","max_output_tokens":"many"}',
    '{"model":"echo","input":"x","store":5}', '{"model":"echo","input":"x","text":"plain"}',
    '{"model":"echo","input":[{"type":"function_call_output","call_id":"unknown","output":"x"}]}',
    json.dumps({"model": "echo", "input": [
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "once"},
        {"type": "function_call_output", "call_id": "c", "output": "twice"},
    ]}),
]  # fmt: skip


@pytest.mark.parametrize("body", MALFORMED, ids=range(len(MALFORMED)))
async def test_malformed_input_writes_nothing(site: Site, body: str | bytes) -> None:
    headers = {"authorization": f"Bearer {site.token()}", "content-type": "application/json"}
    async with httpx.AsyncClient(base_url=site.url, headers=headers, trust_env=False) as http:
        response = await http.post("/v1/responses", content=body)
        assert 400 <= response.status_code < 500, response.text
        error = response.json()["error"]
        assert set(error) == {"message", "type", "param", "code"} and error["type"] == "invalid_request_error"
        assert response.headers["x-should-retry"] == "false"
        assert (await http.get("/v1/sessions")).json()["sessions"] == []


async def test_a_result_of_an_unknown_call_is_refused_in_a_conversation_too(site: Site) -> None:
    async with Client(site.url, site.token()) as hf:
        session = await hf.create("talk")
        result = [{"type": "function_call_output", "call_id": "unknown", "output": "x"}]
        with pytest.raises(openai.BadRequestError) as refused:
            await site.client().responses.create(model="echo", input=result, conversation="talk")
        assert refused.value.param == "input" and (await session.state()).runs == {}


async def test_routes_that_are_not_there_are_refused_in_the_same_shape(site: Site) -> None:
    client = site.client()
    for method, path, kind, code in (
        ("put", "/responses/resp_x", openai.APIStatusError, "route.method"),
        ("get", "/responses", openai.APIStatusError, "route.method"),
        ("get", "/responses/resp_x/more", openai.NotFoundError, "route.not_found"),
    ):
        with pytest.raises(kind) as refused:
            await getattr(client, method)(path, cast_to=object)
        assert refused.value.code == code and refused.value.type == "invalid_request_error"


async def test_parameters_with_few_values_take_no_others(site: Site) -> None:
    client = site.client()
    response = await client.responses.create(model="echo", input="x", background=True)
    headers = {"authorization": f"Bearer {site.token()}"}
    async with httpx.AsyncClient(base_url=site.url, headers=headers, trust_env=False) as http:
        for asked in ("?stream=maybe", "/input_items?order=random", "/input_items?after=msg_unknown"):
            refused = await http.get(f"/v1/responses/{response.id}{asked}")
            assert refused.status_code == 400 and refused.json()["error"]["code"] == "input.malformed"


@pytest.mark.parametrize(
    "ident",
    [
        "x",
        "resp_",
        "resp_0_0_a_s",
        "resp_2_0_a_none",
        "resp_02_0_a_s",
        "resp_99999999999999999_0_a_s",
        "resp_2_0_a_..%2f",
    ],
)
async def test_unknown_responses_are_not_found(site: Site, ident: str) -> None:
    client = site.client()
    for asked in (client.responses.retrieve(ident), client.responses.cancel(ident), client.responses.delete(ident)):
        with pytest.raises(openai.NotFoundError):
            await asked


async def test_a_response_id_names_one_life_of_one_session_and_one_run(site: Site) -> None:
    await site.serve(echo=echo)
    client = site.client()
    response = await client.responses.create(model="echo", input="x", conversation="c1")
    _, run, start, incarnation, session = response.id.split("_")
    for other in (
        f"resp_{run.replace('r3', 'r4')}_{start}_{incarnation}_{session}", f"resp_{run}_3_{incarnation}_{session}",
        f"resp_{run}_{start}_{incarnation[::-1]}0_{session}", f"resp_{run}_9000_{incarnation}_{session}",
        f"resp_{run.partition('-')[0]}_{start}_{incarnation}_{session}",
    ):  # fmt: skip
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(other)
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(other, stream=True)


async def test_access_is_decided_as_everywhere(site: Site) -> None:
    await site.serve(echo=echo)
    response = await site.client().responses.create(model="echo", input="secret", conversation="c1")
    with pytest.raises(openai.AuthenticationError) as nobody:
        await site.client(token="nonsense").responses.retrieve(response.id)
    assert nobody.value.type == "authentication_error"
    with pytest.raises(openai.PermissionDeniedError) as narrow:
        await site.client(token=site.token(capabilities={"other-*": ["read", "append"]})).responses.retrieve(
            response.id
        )
    assert narrow.value.code == "auth.denied"
    with pytest.raises(openai.NotFoundError):
        await site.client(token=site.token(tenant="other")).responses.retrieve(response.id)
    reader = site.client(token=site.token("user:bob", capabilities={"c1": ["read"]}))
    assert (await reader.responses.retrieve(response.id)).output_text == "You said: secret"
    for refused in (
        reader.responses.cancel(response.id), reader.responses.delete(response.id),
        reader.responses.create(model="echo", input="more", previous_response_id=response.id),
    ):  # fmt: skip
        with pytest.raises(openai.APIStatusError) as denied:
            await refused
        assert denied.value.status_code in (400, 403)
    writer = site.client(token=site.token("user:eve", capabilities={"*": ["append"]}))
    with pytest.raises(openai.PermissionDeniedError):  # who cannot read the answer is refused before anything is said
        await writer.responses.create(model="echo", input="x", conversation="c1")
    async with Client(site.url, site.token()) as hf:
        assert len((await hf.session("c1").state()).runs) == 1


async def test_deleting_a_response_erases_its_own_session_only(site: Site) -> None:
    await site.serve(echo=echo)
    client = site.client()
    alone = await client.responses.create(model="echo", input="x")
    await client.responses.delete(alone.id)
    with pytest.raises(openai.APIStatusError) as gone:
        await client.responses.retrieve(alone.id)
    assert gone.value.status_code in (404, 410)
    shared = await client.responses.create(model="echo", input="x", conversation="c1")
    with pytest.raises(openai.BadRequestError):
        await client.responses.delete(shared.id)


async def test_a_person_who_took_over_is_not_spoken_over(site: Site) -> None:
    async with Client(site.url, site.token("user:bob")) as hf:
        session = await hf.create("c1")
        await session.take()
        with pytest.raises(openai.ConflictError) as muted:
            await site.client().responses.create(model="echo", input="x", conversation="c1")
    assert muted.value.code == "run.muted"
