"""The dialects there are, by the name that is used in settings and records."""

from __future__ import annotations

from typing import Final, NamedTuple

from holdfast.providers.chat_decoder import ChatDecoder
from holdfast.providers.chat_encoder import ChatEncoder
from holdfast.providers.decoder import StreamDecoder
from holdfast.providers.encoder import StreamEncoder
from holdfast.providers.messages_decoder import MessagesDecoder
from holdfast.providers.messages_encoder import MessagesEncoder
from holdfast.providers.responses_decoder import ResponsesDecoder
from holdfast.providers.responses_encoder import ResponsesEncoder


class StreamDialect(NamedTuple):
    """How a provider's answer is read, and written."""

    decoder: type[StreamDecoder]
    encoder: type[StreamEncoder]


STREAM_DIALECTS: Final[dict[str, StreamDialect]] = {
    "openai.chat": StreamDialect(ChatDecoder, ChatEncoder),
    "openai.responses": StreamDialect(ResponsesDecoder, ResponsesEncoder),
    "anthropic.messages": StreamDialect(MessagesDecoder, MessagesEncoder),
}
