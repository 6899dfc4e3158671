"""What a key is: whose calls it makes, what it may ask for, how long it is good. Pure."""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

from holdfast.errors import Refused
from holdfast.gateway.port import Caller
from holdfast.governance import labels, limits
from holdfast.protocol.limits import LABEL_CHARS, LABELS

State = Literal["active", "expired", "revoked"]
NAMED: Final = (labels.WORKFLOW, labels.TEAM, labels.TASK)
"""What every key has to say of its calls."""
_LABEL: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
_SESSION: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._~:-]{0,127}")
_ACTOR: Final = re.compile(r"(user|agent):[!-~]{1,190}")
_MODEL: Final = re.compile(r"[!-~]{1,200}")
_NAME: Final = re.compile(r"[ -~]+")


class Secret(msgspec.Struct, frozen=True):
    """One of the secrets of a key: it has another one after each rotation, and the former for a while.

    Attributes:
        id: in the text of the key; for an adopted key the fingerprint of what its program sends.
        hash: of the text; empty for an adopted one, which is found by its fingerprint.
        used_ms: when it was used last, to the hour; None for never.
    """

    id: str
    key: str
    hash: str
    created_ms: int
    expires_ms: int
    used_ms: int | None = None


class GatewayKey(msgspec.Struct, frozen=True):
    """A key. Its secrets come and go; its id, which stands in rows, stays.

    Attributes:
        name: what people call it.
        actor: ``user:…`` or ``agent:…`` that its calls are of in sessions; empty: the gateway calls it by the key's id.
        labels: of its calls.
        models: patterns of models that it may ask for.
        agents: names of agents that may be asked as models; ``*`` for all.
        session: that all its calls are runs of; empty for none.
        sessions: pattern of sessions that a call may name; empty for none.
        adopted: whether its secret is the one that a program had before.
    """

    id: str
    tenant: str
    name: str
    actor: str
    labels: dict[str, str]
    models: tuple[str, ...] = ("*",)
    agents: tuple[str, ...] = ()
    session: str = ""
    sessions: str = ""
    adopted: bool = False
    created_ms: int = 0
    created_by: str = ""
    revoked_ms: int | None = None
    revoked_by: str = ""

    def caller(self) -> Caller:
        """What the gateway is told of whoever has this key."""
        return Caller(
            self.id,
            self.tenant,
            self.actor,
            tuple(sorted((name, value) for name, value in self.labels.items() if name != labels.SIGN_IN)),
            self.models,
            frozenset(self.agents),
            self.session,
            self.sessions,
        )


class KeyRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked of a new key. ``ttl_s``: seconds for which it is good; the longest by default. ``test``: its work is tried
    before a launch, and counts for no gate."""

    workflow: str = ""
    team: str = ""
    task: str = ""
    name: str = ""
    user: str = ""
    cost_centre: str = ""
    usage: str = ""
    tags: dict[str, str] = {}
    actor: str = ""
    models: tuple[str, ...] = ("*",)
    agents: tuple[str, ...] = ()
    session: str = ""
    sessions: str = ""
    ttl_s: float = limits.KEY_TTL_S
    test: bool = False


class NameRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an existing key is to say of its calls from now on; what is not named stays, an empty text takes it away."""

    workflow: str | None = None
    team: str | None = None
    task: str | None = None
    user: str | None = None
    cost_centre: str | None = None
    usage: str | None = None


class KeySecretRow(msgspec.Struct, frozen=True):
    """A secret, as lists show it."""

    id: str
    created_ms: int
    expires_ms: int
    used_ms: int | None


class KeyRow(msgspec.Struct, frozen=True):
    """A key, as lists show it: nothing in it lets anybody call.

    Attributes:
        state: ``active``, ``expired`` when no secret is good any more, ``revoked``.
        expires_ms: when the last of its secrets expires.
        used_ms: when it was used last, to the hour.
        secrets: those that are good still, the newest first.
    """

    id: str
    name: str
    actor: str
    labels: dict[str, str]
    models: tuple[str, ...]
    agents: tuple[str, ...]
    session: str
    sessions: str
    adopted: bool
    state: State
    created_ms: int
    created_by: str
    expires_ms: int
    used_ms: int | None
    revoked_ms: int | None
    revoked_by: str
    secrets: tuple[KeySecretRow, ...]


def row_of(key: GatewayKey, secrets: list[Secret], now_ms: int) -> KeyRow:
    """A key as lists show it."""
    newest = sorted(secrets, key=lambda secret: -secret.created_ms)
    good = [secret for secret in newest if secret.expires_ms > now_ms] if key.revoked_ms is None else []
    used = [secret.used_ms for secret in secrets if secret.used_ms is not None]
    shown = {name: getattr(key, name) for name in key.__struct_fields__ if name != "tenant"}
    return KeyRow(
        **shown,
        state="revoked" if key.revoked_ms is not None else "active" if good else "expired",
        expires_ms=max((secret.expires_ms for secret in secrets), default=0),
        used_ms=max(used, default=None),
        secrets=tuple(KeySecretRow(s.id, s.created_ms, s.expires_ms, s.used_ms) for s in good),
    )


def missing_labels(claims: dict[str, str]) -> str:
    """What a key does not say of its calls and has to; empty when nothing is missing."""
    missing = [name for name in NAMED if not claims.get(name)]
    if not missing:
        return ""
    return f"the key names no {' and no '.join(missing)}"


def key_of(request: KeyRequest, ident: str, tenant: str, now_ms: int, by: str) -> GatewayKey:
    """The key that is asked for.

    Raises:
        Refused: ``key.unnamed`` without workflow, team or task; ``key.invalid``, naming the field.
    """
    claims = {
        labels.WORKFLOW: request.workflow,
        labels.TEAM: request.team,
        labels.TASK: request.task,
        labels.COST_CENTRE: request.cost_centre,
        labels.USAGE: request.usage,
        labels.USER: request.user.removeprefix("user:"),
        labels.TEST: "yes" if request.test else "",
    }
    claims = {name: value for name, value in claims.items() if value}
    if labels.SIGN_IN in request.tags:
        raise Refused(
            "key.invalid", f"tag {labels.SIGN_IN!r}: a key is no sign-in; only a login says when somebody did"
        )
    if reserved := sorted(labels.NAMES & set(request.tags)):
        raise Refused("key.invalid", f"tag {reserved[0]!r} has an option of its own: --{reserved[0].replace('_', '-')}")
    claims |= request.tags
    if wrong := missing_labels(claims):
        fix = "Say what its calls are for: --workflow, --team and --task, for example --task summarise."
        raise Refused("key.unnamed", wrong, fix=fix)
    _check_labels(claims)
    user = claims.get(labels.USER)
    actor = request.actor or (f"user:{user}" if user else "")
    key = GatewayKey(
        ident,
        tenant,
        request.name or f"{claims[labels.WORKFLOW]}-{claims[labels.TASK]}"[: limits.KEY_NAME_CHARS],
        actor,
        claims,
        request.models,
        request.agents,
        request.session,
        request.sessions,
        created_ms=now_ms,
        created_by=by,
    )
    _check(key)
    if not 1 <= request.ttl_s <= limits.KEY_TTL_S:
        raise Refused("key.invalid", f"a key is good for 1 second to {limits.KEY_TTL_S / 86_400:.0f} days")
    return key


def named(key: GatewayKey, request: NameRequest) -> GatewayKey:
    """A key that says something else of its calls. Raises as ``key_of`` does."""
    changes = {name: value for name, value in msgspec.structs.asdict(request).items() if value is not None}
    claims = {name: value for name, value in (key.labels | changes).items() if value}
    if wrong := missing_labels(claims):
        raise Refused("key.unnamed", wrong)
    _check_labels(claims)
    return msgspec.structs.replace(key, labels=claims)


def _check_labels(claims: dict[str, str]) -> None:
    if len(claims) > LABELS:
        raise Refused("key.invalid", f"a key has at most {LABELS} labels")
    for name, value in claims.items():
        if not _LABEL.fullmatch(name):
            raise Refused("key.invalid", f"label {name!r:.80}: a name is of a-z, 0-9 and _, and begins with a letter")
        if not 1 <= len(value) <= LABEL_CHARS or not value.isprintable():
            raise Refused("key.invalid", f"{name}: 1 to {LABEL_CHARS} characters in one line")
    if claims.get(labels.USAGE, labels.SEATED) not in labels.USAGES:
        raise Refused("key.invalid", f"usage {claims[labels.USAGE]!r:.80}: seated or headless")


def _check(key: GatewayKey) -> None:
    if not _NAME.fullmatch(key.name) or len(key.name) > limits.KEY_NAME_CHARS:
        raise Refused("key.invalid", f"name: 1 to {limits.KEY_NAME_CHARS} plain characters; give one with --name")
    if key.actor and not _ACTOR.fullmatch(key.actor):
        raise Refused("key.invalid", "actor: user:NAME or agent:NAME, without spaces; give one with --actor")
    if not key.models and not key.agents:
        raise Refused("key.invalid", "the key may ask for nothing: name a model or an agent")
    for what, patterns in (("model", key.models), ("agent", key.agents)):
        if len(patterns) > limits.KEY_PATTERNS:
            raise Refused("key.invalid", f"at most {limits.KEY_PATTERNS} {what}s")
        for pattern in patterns:
            if not _MODEL.fullmatch(pattern):
                raise Refused("key.invalid", f"{what} {pattern!r:.80}: a name, or a pattern with *")
    if key.session and key.sessions:
        raise Refused("key.invalid", "a key has one session, or a pattern of sessions, not both")
    if key.session and not _SESSION.fullmatch(key.session):
        raise Refused("key.invalid", f"session {key.session!r:.80}: no id of a session")
    pattern = key.sessions.removesuffix("*")
    if key.sessions and pattern and not _SESSION.fullmatch(pattern):
        raise Refused("key.invalid", f"sessions {key.sessions!r:.80}: an id, or the beginning of one and *")
