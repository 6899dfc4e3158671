"""OpenAI's Responses: usage in the event that ends a response, or in the response itself.

What its own tools use stands outside, in ``tool_usage``: searches are billed with the model that asked for them, images by
another model, so they are an attempt of their own.
"""

from __future__ import annotations

from typing import ClassVar

from holdfast.providers.billing.counting import CountReader, Fields, Split, divide
from holdfast.providers.billing.model import BilledAttempt
from holdfast.providers.billing.openai_counts import RESPONSES, openai_split
from holdfast.providers.billing.usage_reader import UsageReader, name_of, objects


class ResponsesUsageReader(UsageReader):
    """Reads events of one response, or a whole one."""

    markers: ClassVar[tuple[bytes, ...]] = (b'"usage"',)

    def __init__(self, provider: str = "") -> None:
        super().__init__(provider)
        self._response: Fields = {}

    def read(self, event: Fields) -> None:
        nested = event.get("response")
        response = nested if isinstance(nested, dict) else event
        usage = response.get("usage")
        has_usage = isinstance(usage, dict) and bool(usage)
        self._name(response.get("model"), serving=has_usage)
        if has_usage:
            self._response = response

    def attempts(self) -> tuple[BilledAttempt, ...]:
        response = self._response
        usage: Fields = response.get("usage") or {}
        tools = response.get("tool_usage")
        raw = {**usage, "tool_usage": tools} if tools else usage
        split = openai_split(usage, RESPONSES, self._provider) if usage else Split(counts={}, odd=[])
        reader = CountReader(tools if isinstance(tools, dict) else {}, split.odd)
        searches = reader.inner("web_search").take("num_requests") if tools else _searches(response)
        if searches is not None:
            split.counts["web_searches"] = searches
        message = self._attempt(raw, split, final=bool(usage), tier=name_of(response, "service_tier"))
        images = reader.inner("image_gen")
        return (message, *self._images(images, response)) if images.fields else (message,)

    def _images(self, reader: CountReader, response: Fields) -> tuple[BilledAttempt, ...]:
        """What was used to make images; nothing where none was made."""
        split = Split(counts={}, odd=[])
        reader = CountReader(reader.fields, split.odd)
        split.total_input, split.total_output = reader.take("input_tokens"), reader.take("output_tokens")
        if not split.total_input and not split.total_output:
            return ()
        inside, within = reader.inner("input_tokens_details"), reader.inner("output_tokens_details")
        read = reader.take("cached_tokens")
        image = inside.take("image_tokens")
        cached_image = reader.inner("cached_tokens_details").take("cached_image_tokens") or 0
        if image is not None:
            image = max(0, image - cached_image)
        divide(split.counts, split.odd, split.total_input, {"cache_read": read, "input_image": image}, "input")
        drawn = within.take("image_tokens")
        if drawn is None:
            drawn = split.total_output  # the details may be left out; what it makes is images
        divide(split.counts, split.odd, split.total_output, {"output_image": drawn}, "output")
        drawing = [tool for tool in objects(response.get("tools")) if tool.get("type") == "image_generation"]
        model = next((name_of(tool, "model") for tool in drawing), "")
        attempt = self._attempt(reader.fields, split, final=True, kind="image_generation", model=model or "image_gen")
        return (attempt,)


def _searches(response: Fields) -> int | None:
    """Searches where ``tool_usage`` is left out: those among the items; pages that were opened are not billed."""
    calls = [item for item in objects(response.get("output")) if item.get("type") == "web_search_call"]
    if not calls:
        return None
    actions = [call.get("action") for call in calls]
    return len([each for each in actions if not isinstance(each, dict) or each.get("type", "search") == "search"])
