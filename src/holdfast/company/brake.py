"""A budget that brakes while somebody watches: whoever writes to this agent sees a colleague's chat client ask a model in the same
session, slowly, and the gateway end the answer, or ask, when the small budget of the workflow is spent.
"""

from __future__ import annotations

from typing import Final

from holdfast.agents.run import RunContext
from holdfast.company.conversation import ModelConversation
from holdfast.company.description import WorkflowDescription
from holdfast.company.models import Address, ModelClient, ModelRefused

POLICIES: Final = {"brake-error": "error", "brake-ask": "ask"}
"""The workflows that brake, and how; each has one session of its own name."""
WAIT_S: Final = 540
"""For which a person is waited for: as long as there may be, for whoever watches looks around first."""
_PACE_MS: Final = 150
_BEGIN: Final = {
    "error": "A colleague's chat client asks a model for a long report in this session now. Its budget is too small for that.",
    "ask": "A colleague's chat client asks a model for a long report in this session now. When its budget is spent, the answer"
    " waits: approve the request in the console (Budgets), or raise the cap, and it goes on.",
}


class BrakeAgent:
    """See the module.

    Args:
        address: of the gateway, with the colleague's key.
    """

    def __init__(self, workflow: WorkflowDescription, anthropic: bool, models: ModelClient, address: Address) -> None:
        self._workflow, self._anthropic, self._models, self._address = workflow, anthropic, models, address

    async def __call__(self, run: RunContext) -> None:
        """Have a model asked, and say how it ended."""
        await run.say(_BEGIN[POLICIES[self._workflow.name]])
        conversation = ModelConversation(self._anthropic, ())
        conversation.say("user", f"Write the long report, please. It is about this: {run.input.text[:200]}")
        hints = {"words": self._workflow.words, "pace": _PACE_MS}
        try:
            answer = await self._models.stream(
                self._address, self._workflow.model, conversation, hints, {"x-holdfast-session": run.session.id}
            )
        except ModelRefused as error:
            await run.say(f"The gateway has refused it at once: HTTP {error.status}.")
            return
        length = sum([len(words) async for words in answer.words()])
        if answer.failure:
            await run.say(f"After {length:,} characters its client was told: {answer.failure}")
        else:
            await run.say(f"The answer is whole, with {length:,} characters.")


def title_of(workflow: str) -> str:
    """The title of the session in which it can be watched."""
    return {"error": "A budget ends an answer", "ask": "A budget asks, and the answer waits"}[POLICIES[workflow]]
