"""What the gateway asks of whoever owns keys, money and models. It names no governance: small protocols, and facts.

The order of one call: ``Keys.identify`` says who asks, ``Admission.admit`` that it may begin and ``Router.route`` which model
answers (all in memory, no waiting); for every attempt at an upstream
``Meter.open`` is answered durably before the upstream is asked, so that what was spent is known whatever happens after;
``Meter.settle`` replaces the open attempt by what was served. An attempt that was opened and never settled is billed from
what its opening says, as an estimate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import msgspec

from holdfast.errors import Refused
from holdfast.providers.billing.model import BilledAttempt

BrakePolicy = Literal["error", "truncate", "ask"]
"""What becomes of a running answer that gets no more money: it ends with an error; it ends as if it had reached its limit of
tokens, and only the session says why; it is held open while a person is asked, and ends with an error at the deadline."""

Outcome = Literal["served", "failed", "cut", "drained", "refused"]
"""How an attempt ended: whole; with an error of the upstream; cut by us or by the network before its end; read to its
end for nobody; not answered at all by the upstream (it refused: nothing was produced)."""


class Caller(msgspec.Struct, frozen=True):
    """Whose call it is, as its key says.

    Attributes:
        key: id of the key, never the key.
        tenant: of the sessions the key may use.
        actor: ``user:…`` or ``agent:…``: who the calls are of.
        labels: names with values, sorted: ``team``, ``workflow``, ``task``, ``cost_centre``, ``usage`` (seated or
            headless), ``user``; and ``sign_in``, which no key has: see ``People``.
        models: patterns of models the key may ask for; ``("*",)`` for all.
        agents: names of agents that may be asked as models; ``"*"`` for all.
        session: the session every call of the key is a run of; empty for none.
        sessions: pattern of sessions that a header may name; empty for none.
    """

    key: str
    tenant: str = "default"
    actor: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    models: tuple[str, ...] = ("*",)
    agents: frozenset[str] = frozenset()
    session: str = ""
    sessions: str = ""

    def label(self, name: str) -> str:
        """The value of a label; empty where the key has none."""
        return dict(self.labels).get(name, "")


class Stranger(msgspec.Struct, frozen=True):
    """A call without a key that is known: for the list of unknown callers. Nothing of it is secret.

    Attributes:
        fingerprint: of what was sent as a key: a short hash, empty when nothing was sent.
        address: network address it came from.
        agent: its ``User-Agent``, bounded.
        path: the path it asked for.
        at_ms: Unix ms.
    """

    fingerprint: str
    address: str
    agent: str
    path: str
    at_ms: int


class Keys(Protocol):
    """Who calls."""

    def identify(self, secret: str) -> Caller:
        """The caller of a key.

        Raises:
            Refused: ``key.unknown``, ``key.expired``, ``key.revoked``, ``key.unnamed`` (a key that names no workflow,
                team or task type), each with the sentence that mends it.
        """

    def note(self, stranger: Stranger) -> None:
        """Remember who came without a key that is known. Never waits, never fails."""

    def watch(self, revoked: Callable[[str], object]) -> None:
        """Have ``revoked`` called with the id of each key that is revoked from now on, wherever that happens, within a
        second: what runs under it is ended."""


class People(Protocol):
    """Who is behind a call, where its caller sends a person's token along."""

    def verify(self, token: str, tenant: str) -> int:
        """When the person of an access token signed in, Unix seconds. The token is secret: it is in no error and no log.

        Raises:
            Refused: ``auth.invalid``, ``auth.expired``, ``auth.revoked``; ``auth.denied`` for one that is no person's of the
                tenant, or does not say when somebody signed in.
            Unavailable: ``auth.keys``.
        """


class ModelCall(msgspec.Struct, frozen=True):
    """One request of a caller.

    Attributes:
        id: of the call; its attempts share it.
        wire: name of its wire: ``openai.chat``, ``openai.responses``, ``anthropic.messages``, ``openai.embeddings``.
        model: what was asked for.
        at_ms: Unix ms at which it came.
        input_bytes: size of what goes to the model, for an estimate where the provider says nothing.
        output_limit: the most output tokens it asks for, of all its answers together; None when it does not say.
        tier: the service tier that it asks for; empty for the provider's own choice.
        session, run: of which run it is a part, if any; ``attempt`` of that run.
        facts: what helps to find waste: ``prompt``, a hash of its instructions and tools; ``retry``, which try of the
            caller's own it is.
    """

    id: str
    caller: Caller
    wire: str
    model: str
    at_ms: int
    input_bytes: int = 0
    output_limit: int | None = None
    tier: str = ""
    session: str = ""
    run: str = ""
    attempt: int = 0
    facts: dict[str, str] = {}


Halted = Callable[[Caller, str], Refused | None]
"""Why a call of a caller at a model goes no further; None where it does."""


class Admission(Protocol):
    """What may begin, and what is ended in the middle."""

    def admit(self, call: ModelCall) -> None:
        """Let a call begin: asked before its model is chosen, and again where another model was. Agents that are asked as
        models have ``agent/`` before their name.

        Raises:
            Refused: ``workflow.stopped``, ``workflow.gate``, ``workflow.launch``, ``workflow.retired``, each naming the
                workflow, who or what is in the way, and what to do.
        """

    def halted(self, caller: Caller, model: str) -> Refused | None:
        """Why a call under way, of a caller and at a model, goes no further; None where it does."""

    def watch(self, end: Callable[[Halted], int]) -> None:
        """Have ``end`` called when calls under way are to be ended: given why each is, it answers how many those were."""


class _Open:
    """An admission that lets everything begin."""

    def admit(self, call: ModelCall) -> None:
        """See ``Admission``."""

    def halted(self, caller: Caller, model: str) -> Refused | None:
        """See ``Admission``."""
        return None

    def watch(self, end: Callable[[Halted], int]) -> None:
        """See ``Admission``."""


OPEN: Admission = _Open()
"""Where nobody stops anything."""


class Opening(msgspec.Struct, frozen=True):
    """An attempt at an upstream, before it is asked.

    Attributes:
        id: of the attempt.
        number: from 1, within its call.
        upstream: name of the upstream, which has its rate card.
        provider: whose models it serves, as price catalogues name it.
        model: what the upstream is asked for.
    """

    id: str
    call: ModelCall
    number: int
    upstream: str
    provider: str
    model: str
    at_ms: int


class Served(msgspec.Struct, frozen=True):
    """What became of an attempt.

    Attributes:
        billed: what the provider says it bills, one entry for each model that took part; empty when it said nothing.
        outcome: how it ended.
        estimated: output tokens that were seen, and input that was sent, where the provider said nothing; None when
            ``billed`` is what counts.
        reason: why, where it did not end as it should: an error's code.
        at_ms: Unix ms of its end.
        first_ms: ms from when the call came to the first byte of content; None when there was none.
    """

    id: str
    outcome: Outcome
    billed: Sequence[BilledAttempt] = ()
    estimated: BilledAttempt | None = None
    reason: str = ""
    at_ms: int = 0
    first_ms: int | None = None


class Hold(Protocol):
    """The money that is reserved for one attempt, tranche by tranche. It ends when the attempt is settled."""

    @property
    def granted(self) -> int | None:
        """Output tokens that it may have produced by now; None for as many as it likes."""

    @property
    def on_brake(self) -> BrakePolicy:
        """What becomes of the answer when no more is granted."""

    async def extend(self, seen: int) -> None:
        """Have more granted, so that what is ``granted`` exceeds the ``seen`` tokens. Waits a moment for others to settle.

        Raises:
            Refused: ``budget.exceeded``, ``budget.reopens``, ``budget.spent``. Its fields say whose money it is and who can
                raise it: ``budget``, ``payer``, ``decider``, ``spent_usd``, ``held_usd`` (by other calls),
                ``need_usd`` (of this answer, in all), ``cap_usd`` (decimal texts), ``reopens_ms``.
            Unavailable: ``store.unavailable``.
        """

    async def ask(self, refused: Refused, seen: int) -> None:
        """Ask a person to raise the budget that refused; answered when that was done and more is granted.

        Raises:
            Refused: the same, when it is denied, or nobody decides in time.
        """


BrakeStage = Literal["asked", "resumed", "ended"]
"""How far a braked answer is: a person is asked; more was granted and it goes on; it has ended."""


class BrakeNews(msgspec.Struct, frozen=True):
    """What becomes of a running answer that gets no more money, for whoever tells those who watch it.

    Attributes:
        stage: how far it is; ``asked`` is told once for each question, ``ended`` at most once.
        policy: what becomes of the answer.
        code: of the refusal.
        text: the refusal in a sentence.
        fields: the refusal's: whose money it is, what was spent, who can raise it (see ``Hold.extend``).
        attempt: id of the attempt.
        seen: output tokens that were seen of it by then.
    """

    stage: BrakeStage
    policy: BrakePolicy
    code: str
    text: str
    fields: dict[str, Any] = {}
    attempt: str = ""
    seen: int = 0


def ignore(news: BrakeNews) -> None:
    """Where nobody watches."""


class _Unlimited:
    """A hold without any bound: no budget is concerned."""

    granted = None
    on_brake: BrakePolicy = "error"

    async def extend(self, seen: int) -> None:
        """See ``Hold``."""

    async def ask(self, refused: Refused, seen: int) -> None:
        """See ``Hold``."""


UNLIMITED: Hold = _Unlimited()
"""Where no budget bounds what an attempt may spend."""


class Meter(Protocol):
    """Counts what is spent, and says how much may be."""

    async def open(self, opening: Opening) -> Hold:
        """Answered when the attempt is durably on record and its first money is reserved.

        Raises:
            Refused: ``price.missing`` for a model nobody has priced or waived; ``budget.exceeded``, ``budget.reopens``,
                ``budget.spent`` where no money is left for it, ``budget.unbounded`` where what it may cost is not known.
            Unavailable: ``store.unavailable``: nothing may be spent that cannot be recorded.
        """

    async def settle(self, served: Served) -> None:
        """Answered when what was served is durably on record. Never loses it: where the store is down it is kept and
        tried again; what is lost with the process is billed from the opening."""


RouteKind = Literal["rule", "choice", "sticky", "experiment", "asked"]
"""Why a model was taken: rules left no other; what was measured of it; the session has it already; an experiment drew it; the
caller named it."""


class RequestFacts(msgspec.Struct, frozen=True):
    """What of a request decides which models can answer it.

    Attributes:
        shape: which family of upstreams speaks its wire: ``openai``, ``anthropic``.
        input_tokens: a bound on what goes in: no tokenizer makes more tokens than there are bytes.
        tools: it brings tools. ``images``: it brings pictures.
        replays: the same request may be put to another model as well, without anything being kept of the answer.
    """

    shape: str
    input_tokens: int = 0
    tools: bool = False
    images: bool = False
    replays: bool = False


class Route(msgspec.Struct, frozen=True):
    """Which model answers a call, and why.

    Attributes:
        model: as upstreams of this gateway call it.
        upstreams: names of those that may be asked; empty for all that serve it.
        id: of the decision; empty where nothing was decided and nobody need hear of its end.
        reason: in a sentence, for whoever looks at the call.
        propensity: with which probability this model was drawn; 1.0 where nothing was drawn.
        instead, instead_upstreams: which model answers when all that may be asked fail; empty for none.
        experiment: name of the one that the call is a part of.
        shadow, shadow_upstreams: which model is put the same request, unseen by the caller; empty for none.
    """

    model: str
    upstreams: tuple[str, ...] = ()
    id: str = ""
    reason: str = ""
    kind: RouteKind = "asked"
    propensity: float = 1.0
    instead: str = ""
    instead_upstreams: tuple[str, ...] = ()
    experiment: str = ""
    shadow: str = ""
    shadow_upstreams: tuple[str, ...] = ()


class ShadowAnswer(msgspec.Struct, frozen=True):
    """What is kept of an answer that nobody was given: nothing that it said.

    Attributes:
        call: id under which the ledger has what it cost.
        answered: it came whole.
        digest: of its text without case and spaces; empty without any.
        same: whether the caller's own answer has the same digest; None where either has none.
        reason: code of the error where it did not come whole.
    """

    call: str
    answered: bool
    digest: str = ""
    same: bool | None = None
    reason: str = ""


class Router(Protocol):
    """Which model answers."""

    def is_route(self, model: str) -> bool:
        """Whether a name that a caller asks for is that of a route, and of no model."""

    def route(self, call: ModelCall, read_facts: Callable[[], RequestFacts]) -> Route:
        """Decide. Asked once for each call, answered from memory.

        Args:
            read_facts: reads the request for them, which takes as long as the request is: not called where nobody decides.

        Raises:
            Refused: ``routing.unknown``, ``routing.refused``, naming the rule that leaves nobody to ask.
        """

    def served(self, call: ModelCall, route: Route, models: Sequence[str], *, other: bool, fell_back: bool) -> None:
        """What answered in the end: the models that the provider names, ``other`` when they are not those that were asked
        for, ``fell_back`` when it was ``instead``. Never waits, never fails."""

    def shadowed(self, call: ModelCall, route: Route, answer: ShadowAnswer) -> None:
        """What became of the shadow. Never waits, never fails."""
