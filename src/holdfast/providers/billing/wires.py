"""Every wire whose usage is read, and those that are not, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from holdfast.providers.billing.anthropic_messages import MessagesUsageReader
from holdfast.providers.billing.bedrock import ConverseUsageReader, InvokeUsageReader
from holdfast.providers.billing.cohere import CohereEmbeddingsUsageReader, CohereUsageReader
from holdfast.providers.billing.google import EmbedContentUsageReader, GenerateUsageReader, InteractionsUsageReader
from holdfast.providers.billing.ollama import OllamaEmbeddingsUsageReader, OllamaUsageReader
from holdfast.providers.billing.openai_chat import ChatUsageReader, EmbeddingsUsageReader
from holdfast.providers.billing.openai_responses import ResponsesUsageReader
from holdfast.providers.billing.usage_reader import UsageReader


class BilledWire(msgspec.Struct, frozen=True):
    """How usage is read on a wire.

    Attributes:
        name: of the wire.
        reader: what reads it.
        lines: its streams are lines of JSON.
    """

    name: str
    reader: type[UsageReader]
    lines: bool = False


WIRES: Final[Mapping[str, BilledWire]] = {
    wire.name: wire
    for wire in (
        BilledWire("openai.chat", ChatUsageReader),
        BilledWire("openai.completions", ChatUsageReader),
        BilledWire("openai.responses", ResponsesUsageReader),
        BilledWire("openai.embeddings", EmbeddingsUsageReader),
        BilledWire("writer.chat", ChatUsageReader),
        BilledWire("anthropic.messages", MessagesUsageReader),
        BilledWire("google.generateContent", GenerateUsageReader),
        BilledWire("google.streamGenerateContent", GenerateUsageReader),
        BilledWire("google.embedContent", EmbedContentUsageReader),
        BilledWire("google.interactions", InteractionsUsageReader),
        BilledWire("bedrock.converse", ConverseUsageReader),
        BilledWire("bedrock.converse-stream", ConverseUsageReader),
        BilledWire("bedrock.invoke", InvokeUsageReader),
        BilledWire("bedrock.invoke-with-response-stream", InvokeUsageReader),
        BilledWire("cohere.v1.chat", CohereUsageReader, lines=True),
        BilledWire("cohere.v2.chat", CohereUsageReader),
        BilledWire("cohere.v2.embed", CohereEmbeddingsUsageReader),
        BilledWire("ollama.generate", OllamaUsageReader, lines=True),
        BilledWire("ollama.chat", OllamaUsageReader, lines=True),
        BilledWire("ollama.embed", OllamaEmbeddingsUsageReader),
    )
}
"""The wires, by name; compatible servers of other providers are on the wire they speak."""

UNSUPPORTED: Final[Mapping[str, str]] = {
    "realtime.ws": "a conversation of many answers on one WebSocket, which is never passed on",
    "openai.images": "images are billed by size and quality, which the answer does not always say",
    "openai.audio.speech": "speech is billed by characters or seconds, which the answer does not say",
    "openai.audio.transcriptions": "a recording is billed by its length, which not every answer says",
    "openai.batches": "usage comes hours later, in a file of results",
    "openai.files": "storage is billed by the day",
    "openai.moderations": "the answer says nothing of usage",
    "cohere.rerank": "it is billed by search units, which no class counts",
}
"""Wires that are refused, and why."""


def wire_named(name: str) -> BilledWire:
    """The wire of a name.

    Raises:
        LookupError: its usage is not read; the reason is in the text.
    """
    wire = WIRES.get(name)
    if wire is None:
        raise LookupError(f"usage of {name} is not read: {UNSUPPORTED.get(name, 'there is no such wire')}")
    return wire
