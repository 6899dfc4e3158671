"""What everybody who watches a session is told of a budget that brakes an answer in it: one activity of the run, replaced
as things go on. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from holdfast.errors import HoldfastError, Refused
from holdfast.gateway.port import BrakeNews
from holdfast.protocol import limits

ACTIVITY: Final = "budget"
"""Kind of the activity; its ``content`` is what ``content_of`` says."""
ACTOR: Final = "policy:budget"
"""Who cancels a run whose budget is spent."""
_FIELDS: Final = (
    "budget", "payer", "decider", "spent_usd", "held_usd", "need_usd", "cap_usd", "reopens_ms", "until_ms",
)  # fmt: skip
"""What of a refusal's fields is shown: whose money it is, how much was spent of how much, what other calls hold and what this
answer would come to, who can raise it, when the window opens again, and until when that person is waited for. Amounts are decimal texts, times Unix ms."""


def activity_id(run: str, resumed: int = 0) -> str:
    """Id of the activity: a run has one, and another after each time that more was given."""
    return f"{run}.budget" + (f".{resumed + 1}" if resumed else "")


def content_of(news: BrakeNews) -> dict[str, Any]:
    """What the activity shows: ``stage``, ``policy``, ``code``, ``text``, and whose money it is."""
    return {
        "stage": news.stage,
        "policy": news.policy,
        "code": news.code,
        "text": news.text,
        **visible_fields(news.fields),
    }


def activity_of(run: str, news: BrakeNews, resumed: int = 0) -> dict[str, Any]:
    """Data of the ``ACTIVITY_SNAPSHOT`` that tells it; ``resumed``: how often more was given before."""
    content = content_of(news)
    return {"messageId": activity_id(run, resumed), "activityType": ACTIVITY, "content": content, "replace": True}


def ends_cancelled(news: BrakeNews) -> bool:
    """Whether the run ends as cancelled: with *truncate* it completes, and only the activity says why it is short."""
    return news.stage == "ended" and news.policy != "truncate"


def reason_of(text: str) -> str:
    """The sentence, as long as the reason of a cancel may be."""
    return text if len(text) <= limits.REASON_CHARS else f"{text[: limits.REASON_CHARS - 2]} …"


def refused_at_once(error: HoldfastError) -> BrakeNews | None:
    """The news of a call that got no money before it began; None for another error."""
    if not error.code.startswith("budget."):
        return None
    return BrakeNews("ended", "error", error.code, error.detail, dict(error.fields))


def refusal_of(news: BrakeNews) -> Refused:
    """What the caller is told."""
    return Refused(news.code, news.text, **visible_fields(news.fields))  # type: ignore[arg-type]


def visible_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Of a refusal's fields those that are shown."""
    return {name: fields[name] for name in _FIELDS if fields.get(name) not in (None, "")}
