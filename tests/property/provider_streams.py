"""Answers of providers, at random: whatever a dialect can say, as the pieces that it is read as."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from holdfast.providers import pieces as p
from holdfast.providers.chat_decoder import STOPS as CHAT_STOPS
from holdfast.providers.messages_decoder import STOPS as MESSAGES_STOPS
from holdfast.providers.usage import chat_usage, messages_usage, responses_usage

Pieces = list[p.Piece]

word = st.text("abcdefxyz_-0", min_size=1, max_size=8)
words = st.one_of(
    st.text(min_size=1, max_size=12), st.sampled_from(["\n\ndata: x\r\n", "\ud83d", '"usage":{', "\u2028"])
)
texts = st.lists(words, min_size=1, max_size=4)
counts = st.integers(0, 10_000)
values = st.one_of(words, st.dictionaries(word, words, min_size=1, max_size=2), st.lists(words, min_size=1, max_size=2))


@st.composite
def failures(draw: st.DrawFn) -> p.AnswerFailure:
    return p.AnswerFailure(draw(st.one_of(st.just(""), word)), draw(word), draw(words))


@st.composite
def chats(draw: st.DrawFn) -> Pieces:
    pieces: Pieces = [p.AnswerStart(draw(word), draw(word), draw(counts))]
    for _ in range(draw(st.integers(0, 6))):
        pieces += draw(st.sampled_from([_chat_text, _chat_call, _chat_executed, _chat_source]))(draw, pieces)
    return pieces + draw(chat_ends())


def _next_item(pieces: Pieces) -> int:
    return 1 + sum(isinstance(piece, (p.CallStart, p.ProviderCallStart)) for piece in pieces)


def _chat_text(draw: st.DrawFn, before: Pieces) -> Pieces:
    delta = draw(st.sampled_from([p.TextDelta, p.RefusalDelta, p.ReasoningDelta]))
    return [delta(text) for text in draw(texts)]


def _chat_call(draw: st.DrawFn, before: Pieces) -> Pieces:
    item = _next_item(before)
    pieces: Pieces = [p.CallStart(item, draw(word), draw(word)), *_args(draw, item)]
    return [*pieces, p.OpaqueField(item, "extra_content", {"x": draw(words)})] if draw(st.booleans()) else pieces


def _chat_executed(draw: st.DrawFn, before: Pieces) -> Pieces:
    item, ident, name, output = _next_item(before), draw(word), draw(word), draw(words)
    pieces: Pieces = [p.ProviderCallStart(item, ident, name, {"type": name, "id": ident})]
    if draw(st.booleans()):
        pieces.append(p.ArgumentsDelta(draw(words), item))
    return [*pieces, p.ProviderCallResult(item, ident, output, native={"output": output})]


def _chat_source(draw: st.DrawFn, before: Pieces) -> Pieces:
    url, title = draw(words), draw(words)
    return [p.SourceCited(url, title, native={"type": "url_citation", "url_citation": {"url": url, "title": title}})]


@st.composite
def chat_ends(draw: st.DrawFn) -> Pieces:
    inside, within = {"cached_tokens": draw(counts)}, {"reasoning_tokens": draw(counts)}
    reported = {
        "prompt_tokens": draw(counts), "completion_tokens": draw(counts), "prompt_tokens_details": inside,
        "completion_tokens_details": within,
    }  # fmt: skip
    usage = chat_usage(reported, draw(st.sampled_from(["", "flex"])))
    if draw(st.booleans()):
        return [usage, draw(failures())]
    reason = draw(st.sampled_from([*CHAT_STOPS, "odd"]))
    return [p.AnswerFinish(reason, CHAT_STOPS.get(reason, "")), usage, p.AnswerEnd()]


def _args(draw: st.DrawFn, item: int) -> Pieces:
    return [p.ArgumentsDelta(text, item) for text in draw(texts)]


# --- Anthropic's
@st.composite
def messages(draw: st.DrawFn) -> Pieces:
    begun: dict[str, Any] = {"input_tokens": draw(counts), "cache_read_input_tokens": draw(counts), "output_tokens": 1}
    pieces: Pieces = [p.AnswerStart(draw(word), draw(word)), messages_usage(begun)]
    for item in range(draw(st.integers(0, 6))):
        block = draw(st.sampled_from([_text_block, _thinking_block, _call_block, _result_block, _compaction_block]))
        pieces += [*block(draw, item), p.ItemEnd(item)]
    over = messages_usage({**begun, "output_tokens": draw(counts), "cache_creation_input_tokens": draw(counts)})
    if draw(st.booleans()):
        return [*pieces, over, draw(failures())]
    reason = draw(st.sampled_from([*MESSAGES_STOPS, "odd"]))
    return [*pieces, over, p.AnswerFinish(reason, MESSAGES_STOPS.get(reason, "")), p.AnswerEnd()]


def _text_block(draw: st.DrawFn, item: int) -> Pieces:
    pieces: Pieces = [p.ItemStart(item, "text", {"type": "text", "text": ""})]
    pieces += [p.TextDelta(text, item) for text in draw(texts)]
    url, title, quote = draw(words), draw(words), draw(words)
    native = {"type": "web_search_result_location", "url": url, "title": title, "cited_text": quote}
    return [*pieces, p.SourceCited(url, title, quote, item, native=native)] if draw(st.booleans()) else pieces


def _thinking_block(draw: st.DrawFn, item: int) -> Pieces:
    start = p.ItemStart(item, "reasoning", {"type": "thinking", "thinking": "", "signature": ""})
    return [
        start, *(p.ReasoningDelta(text, item) for text in draw(texts)), p.OpaqueField(item, "signature", draw(words))
    ]  # fmt: skip


def _call_block(draw: st.DrawFn, item: int) -> Pieces:
    ident, name, own = draw(word), draw(word), draw(st.booleans())
    native = {"type": "server_tool_use" if own else "tool_use", "id": ident, "name": name, "input": {}}
    start = p.ProviderCallStart if own else p.CallStart
    return [start(item, ident, name, native=native), *_args(draw, item)]


def _result_block(draw: st.DrawFn, item: int) -> Pieces:
    ident, value = draw(word), draw(st.lists(values, max_size=2))
    native = {"type": "web_search_tool_result", "tool_use_id": ident, "content": value}
    return [p.ProviderCallResult(item, ident, value, native=native)]


def _compaction_block(draw: st.DrawFn, item: int) -> Pieces:
    start = p.ItemStart(item, "other", {"type": "compaction", "content": None})
    return [start, *(p.OpaqueField(item, "content", text) for text in draw(texts))]


# --- Responses
@st.composite
def responses(draw: st.DrawFn) -> Pieces:
    response = {"id": draw(word), "object": "response", "created_at": draw(counts), "model": draw(word), "output": []}
    pieces: Pieces = [
        p.AnswerStart(response["id"], response["model"], response["created_at"], response)  # type: ignore[arg-type]
    ]
    for item in range(draw(st.integers(0, 5))):
        pieces += draw(st.sampled_from([_message_item, _reasoning_item, _call_item, _mcp_item]))(draw, item)
    reported = {
        "input_tokens": draw(counts), "input_tokens_details": {"cached_tokens": draw(counts)},
        "output_tokens": draw(counts), "tool_usage": {"web_search": {"num_requests": draw(counts)}},
    }  # fmt: skip
    pieces.append(responses_usage(reported, draw(st.sampled_from(["", "flex"]))))
    if draw(st.booleans()):
        return [*pieces, draw(failures())]
    finish = draw(
        st.sampled_from(
            [
                p.AnswerFinish("completed", "stop"),
                p.AnswerFinish("max_output_tokens", "length"),
                p.AnswerFinish("content_filter", "refused"),
                p.AnswerFinish("incomplete"),
            ]
        )
    )
    return [*pieces, finish, p.AnswerEnd()]


def _message_item(draw: st.DrawFn, item: int) -> Pieces:
    start: dict[str, Any] = {"type": "message", "id": f"m{item}", "role": "assistant", "content": []}
    pieces, content = [p.ItemStart(item, "text", start)], []  # type: ignore[var-annotated]
    for part in range(draw(st.integers(0, 3))):
        pieces_of = draw(texts)
        if draw(st.booleans()):
            pieces += [p.RefusalDelta(text, item, part) for text in pieces_of]
            content.append({"type": "refusal", "refusal": "".join(pieces_of)})
            continue
        urls = draw(st.lists(words, max_size=2, unique=True))
        notes = [{"type": "url_citation", "url": url, "title": "T"} for url in urls]
        pieces += [p.TextDelta(text, item, part) for text in pieces_of]
        pieces += [p.SourceCited(n["url"], "T", item=item, part=part, native=n) for n in notes]
        content.append({"type": "output_text", "text": "".join(pieces_of), "annotations": notes})
    return [*pieces, p.ItemEnd(item, {**start, "content": content})]


def _reasoning_item(draw: st.DrawFn, item: int) -> Pieces:
    start: dict[str, Any] = {"type": "reasoning", "id": f"r{item}", "summary": [], "encrypted_content": draw(words)}
    pieces: Pieces = [p.ItemStart(item, "reasoning", start)]
    parts = draw(st.lists(texts, max_size=2))
    for part, found in enumerate(parts):
        pieces += [p.ReasoningDelta(text, item, part, summary=True) for text in found]
    summary = [{"type": "summary_text", "text": "".join(found)} for found in parts]
    return [*pieces, p.ItemEnd(item, {**start, "summary": summary})]


def _call_item(draw: st.DrawFn, item: int) -> Pieces:
    fields = {"type": "function_call", "id": f"f{item}", "call_id": draw(word), "name": draw(word), "arguments": ""}
    args = draw(texts)
    return [
        p.CallStart(item, fields["call_id"], fields["name"], native=fields),
        *(p.ArgumentsDelta(text, item) for text in args),
        p.ItemEnd(item, {**fields, "arguments": "".join(args)}),
    ]


def _mcp_item(draw: st.DrawFn, item: int) -> Pieces:
    fields = {"type": "mcp_call", "id": f"mcp{item}", "name": draw(word), "server_label": "s", "arguments": ""}
    args, output = draw(texts), draw(words)
    return [
        p.ProviderCallStart(item, fields["id"], fields["name"], fields),
        *(p.ArgumentsDelta(text, item) for text in args),
        p.ProviderCallResult(item, fields["id"], output),
        p.ItemEnd(item, {**fields, "arguments": "".join(args), "output": output}),
    ]


ANSWERS = {"openai.chat": chats(), "openai.responses": responses(), "anthropic.messages": messages()}
"""By dialect."""
