"""The wires of the gateway: one row each. What is not here is refused by name until it is metered."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from holdfast.gateway.settings import Shape


class GatewayWire(NamedTuple):
    """One path of the gateway.

    Attributes:
        name: by which records and ``providers/dialects.py`` name it.
        path: of the gateway.
        shape: of the upstreams that speak it.
        upstream: the path at an upstream, after its base address.
        limits: fields of a request that bound its output.
        streams: whether answers are streams at the upstream, whatever the caller asked for.
    """

    name: str
    path: str
    shape: Shape
    upstream: str
    limits: tuple[str, ...]
    streams: bool = True


CHAT: Final = GatewayWire(
    "openai.chat", "/v1/chat/completions", "openai", "/chat/completions", ("max_completion_tokens", "max_tokens")
)
RESPONSES: Final = GatewayWire("openai.responses", "/v1/responses", "openai", "/responses", ("max_output_tokens",))
MESSAGES: Final = GatewayWire("anthropic.messages", "/v1/messages", "anthropic", "/v1/messages", ("max_tokens",))
EMBEDDINGS: Final = GatewayWire("openai.embeddings", "/v1/embeddings", "openai", "/embeddings", (), streams=False)
WIRES: Final = {wire.path: wire for wire in (CHAT, RESPONSES, MESSAGES, EMBEDDINGS)}
MODELS: Final = "/v1/models"

UNMETERED: Final[dict[str, str]] = {
    "/v1/images": "images",
    "/v1/audio": "speech and transcription",
    "/v1/videos": "videos",
    "/v1/batches": "batches",
    "/v1/responses": "stored responses",
    "/v1/chat/completions": "stored chat completions",
    "/v1/messages/batches": "batches",
    "/v1/messages/count_tokens": "counting of tokens",
    "/v1/files": "files",
    "/v1/uploads": "uploads",
    "/v1/realtime": "realtime",
    "/v1/completions": "the legacy completions",
    "/v1/complete": "the legacy completions",
    "/v1/moderations": "moderations",
    "/v1/fine_tuning": "fine tuning",
    "/v1/assistants": "assistants",
    "/v1/threads": "threads",
    "/v1/vector_stores": "vector stores",
    "/v1/containers": "containers",
    "/v1/conversations": "conversations",
    "/v1/evals": "evaluations",
    "/v1/skills": "skills",
    "/v1/organization": "the provider's administration",
    "/v1/organizations": "the provider's administration",
    "/v1/graders": "graders",
    "/v1/engines": "the legacy completions",
    "/v1/embed": "another provider's embeddings",
    "/v1/rerank": "ranking",
    "/v1/rerankings": "ranking",
    "/v1/ocr": "reading of documents",
    "/v1/fim": "completion in the middle",
    "/v1/chat": "chat on another wire",
    "/v1/models": "anything about models but their list",
    "/v1beta": "Gemini's wire",
    "/v2": "another provider's wire",
    "/openai": "Azure's paths",
    "/model": "Bedrock's wire",
    "/api": "another server's wire",
}
"""What providers have beside it, by the beginning of its path: an unmetered path would be a hole in every budget."""


def unmetered(path: str) -> str:
    """What a path is that is not metered; empty for one that nobody knows. The longest beginning says it best."""
    found = [prefix for prefix in UNMETERED if f"{path}/".startswith(f"{prefix}/")]
    return UNMETERED[max(found, key=len)] if found else ""


def dialect_of(headers: Iterable[tuple[bytes, bytes]]) -> GatewayWire | None:
    """The wire in whose words a client is told that a path is none: Anthropic's clients send a version."""
    return MESSAGES if any(name == b"anthropic-version" for name, _ in headers) else None
