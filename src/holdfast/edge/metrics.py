"""Health and metrics: ``/healthz``, ``/readyz``, ``/metrics`` (Prometheus text format).

The hub counts in plain integers; they are read when somebody asks. docs/reference/metrics.md is held against ``METRICS``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from holdfast.edge.browser import LOOPBACK
from holdfast.edge.consumers import Consumers
from holdfast.edge.listener import Listener
from holdfast.edge.request import Requests, json_response
from holdfast.edge.webhooks import Webhooks
from holdfast.errors import Refused
from holdfast.hub.stats import BUCKETS

METRICS: Final[dict[str, tuple[str, str]]] = {
    "connections": ("gauge", "Open connections, WebSocket and SSE."),
    "workers": ("gauge", "Connections that offer to run agents."),
    "subscriptions": ("gauge", "Sessions being read, counted once per connection."),
    "hot_sessions": ("gauge", "Sessions in memory."),
    "commands": ("counter", "Commands decided."),
    "refused": ("counter", "Commands refused."),
    "events": ("counter", "Events committed."),
    "frames": ("counter", "Frames committed."),
    "commits": ("counter", "Commits of sessions."),
    "commit_failures": ("counter", "Commits that failed or whose outcome was unknown."),
    "deliveries": ("counter", "Batches written to readers."),
    "bytes_out": ("counter", "Bytes of frames and snapshots written to readers."),
    "snapshots": ("counter", "Snapshots sent."),
    "resets": ("counter", "Snapshots sent because a cursor could not be served."),
    "slow_readers": ("counter", "Times a reader fell behind its transport."),
    "pages_read": ("counter", "Pages read from the log for readers catching up."),
    "loads": ("counter", "Sessions loaded from the log."),
    "evictions": ("counter", "Idle sessions let go."),
    "merged": ("counter", "Events merged away by compaction."),
    "runs_claimed": ("counter", "Attempts given to workers."),
    "runs_ended": ("counter", "Runs that ended."),
    "leases_lost": ("counter", "Attempts whose lease ran out."),
    "cancels": ("counter", "Cancels requested."),
    "unknown_upstream": ("counter", "Events of models' providers that an adapter did not know."),
    "stalls": ("counter", "Times the process did not run for a second or more."),
}
EDGE: Final[dict[str, tuple[str, str]]] = {
    "webhooks_delivered": ("counter", "Webhooks that were taken."),
    "webhooks_given_up": ("counter", "Webhooks that nobody took in all their tries."),
    "webhooks_waiting": ("gauge", "Webhooks that wait for another try."),
    "webhooks_gaps": ("counter", "Times the feed no longer had what webhooks had not read."),
}
FEED: Final[dict[str, tuple[str, str]]] = {
    "consumers_unread": ("gauge", "Notices of the feed that the slowest consumer has not read."),
    "consumers_overdue": ("gauge", "Consumers of the feed that have left too much unread, or for too long."),
}
RESOURCES: Final[dict[str, tuple[str, str]]] = {
    "work_bytes": ("counter", "Bytes of messages and bodies charged before they were decoded."),
    "work_values": ("counter", "JSON values charged before they were decoded."),
    "work_begun_bytes": ("gauge", "Work that is begun and not answered, in bytes."),
    "work_waited": ("counter", "Times something waited for its turn."),
    "work_refused": ("counter", "Times somebody was refused for work they owe for."),
    "held_bytes": ("gauge", "Memory kept for what comes in and goes out."),
    "held_refused": ("counter", "Times there was no memory for somebody."),
    "strangers": ("gauge", "Connections that have not said who they are."),
    "strangers_dropped": ("counter", "Of those, how many had to go for others."),
}
COMMIT_SECONDS: Final = "commit_seconds"
_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


class _Collector:
    def __init__(self, listener: Listener, webhooks: Webhooks, consumers: Consumers) -> None:
        self._listener = listener
        self._hub = listener.hub
        self._webhooks = webhooks
        self._consumers = consumers

    def collect(self) -> Iterator[Metric]:
        """Read the counters now."""
        stats = self._hub.stats
        for name, row in METRICS.items():
            yield _family(name, row, getattr(stats, name))
        for name, row in EDGE.items():
            yield _family(name, row, getattr(self._webhooks, name.removeprefix("webhooks_")))
        for name, row in FEED.items():
            yield _family(name, row, getattr(self._consumers, name.removeprefix("consumers_")))
        for name, value in self._resources().items():
            yield _family(name, RESOURCES[name], value)
        buckets, running = [], 0
        for bound, count in zip(BUCKETS, stats.commit_seconds.counts, strict=True):
            running += count
            buckets.append(("+Inf" if bound == float("inf") else str(bound), float(running)))
        yield HistogramMetricFamily(
            f"holdfast_{COMMIT_SECONDS}",
            "From deciding a batch to its being durable.",
            buckets=buckets,
            sum_value=stats.commit_seconds.total_s,
        )
        mode = self._hub.engine.health()["mode"]
        yield GaugeMetricFamily(
            "holdfast_engine_ok", "1 while the engine takes every append.", value=float(mode == "ok")
        )

    def _resources(self) -> dict[str, int]:
        charges, strangers = self._listener.charges, self._listener.connection_limits.strangers
        return {
            "work_bytes": charges.bytes,
            "work_values": charges.nodes,
            "work_begun_bytes": charges.in_progress,
            "work_waited": charges.waited,
            "work_refused": charges.refused,
            "held_bytes": charges.memory.in_use,
            "held_refused": charges.memory.refused,
            "strangers": len(strangers),
            "strangers_dropped": strangers.dropped,
        }


def _family(name: str, row: tuple[str, str], value: float) -> Metric:
    kind, text = row
    family = GaugeMetricFamily if kind == "gauge" else CounterMetricFamily
    return family(f"holdfast_{name}", text, value=value)


class Health:
    """The three routes operators look at."""

    def __init__(self, listener: Listener, requests: Requests, webhooks: Webhooks, consumers: Consumers) -> None:
        self._hub = listener.hub
        self._open = listener.settings.metrics_open
        self._requests = requests
        self._registry = CollectorRegistry()
        self._registry.register(_Collector(listener, webhooks, consumers))

    def routes(self) -> list[BaseRoute]:
        """All routes."""
        return [Route("/healthz", self.alive), Route("/readyz", self.ready), Route("/metrics", self.metrics)]

    async def alive(self, request: Request) -> Response:
        """The process runs."""
        return PlainTextResponse("ok\n")

    async def ready(self, request: Request) -> Response:
        """It takes work: 503 while it is closing or its engine is not well, and ``why``."""
        health = self._hub.engine.health()
        mode = "closing" if self._hub.closing else str(health["mode"])
        why = {"why": health["error"]} if mode != "ok" and health.get("error") else {}
        return json_response({"ready": mode == "ok", "mode": mode, **why}, 200 if mode == "ok" else 503)

    async def metrics(self, request: Request) -> Response:
        """Prometheus text, for loopback and admins unless the settings open it."""
        if not self._open and not loopback(request):
            principal = self._requests.principal(request)
            if not principal.may("admin", "*"):
                raise Refused("auth.denied", "metrics need admin over all sessions")
        return Response(generate_latest(self._registry), media_type="text/plain; version=0.0.4; charset=utf-8")


def loopback(request: Request) -> bool:
    """Whether the peer is this machine and asks for this machine, and no proxy speaks for somebody else."""
    if request.client is None or any(name in request.headers for name in _FORWARDED):
        return False
    host = request.headers.get("host", "").rsplit(":", 1)[0].lower()
    try:
        return host in LOOPBACK and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
