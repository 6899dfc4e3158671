"""A provider of LiteLLM's that counts, and is not paid for."""

import asyncio

from litellm import CustomLLM


class Counting(CustomLLM):
    """Answers with the first four characters of what was said, sixty times."""

    async def astreaming(self, model, messages, **kwargs):
        text = str(messages[-1]["content"])
        for number in range(60):
            yield _chunk(f"{text[:4]}{number} ")
            await asyncio.sleep(0.04)
        yield _chunk("", reason="stop")


def _chunk(text, reason=""):
    return {
        "text": text, "is_finished": bool(reason), "finish_reason": reason, "index": 0, "tool_use": None,
        "usage": {"prompt_tokens": 1, "completion_tokens": 60, "total_tokens": 61} if reason else None,
    }  # fmt: skip


counting = Counting()
