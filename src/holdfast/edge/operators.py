"""What operators look at beside sessions: connections, runs in memory and their leases, counters over time.

All of it needs ``admin`` over all sessions of the tenant, and names nothing of other tenants; only the counters are of
the whole server. It is state of this process, not of the log: after a restart it begins anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from holdfast.edge.listener import Listener
from holdfast.edge.request import Requests, json_response
from holdfast.errors import Refused
from holdfast.hub.hot import HotSession
from holdfast.hub.port import HubConnection
from holdfast.hub.stats import BUCKETS
from holdfast.protocol import limits
from holdfast.session.access import Principal


def require_operator(requests: Requests, request: Request) -> Principal:
    """Whoever asks, with admin over all sessions. Raises ``auth.denied`` without."""
    principal = requests.principal(request)
    if not principal.may("admin", "*"):
        raise Refused("auth.denied", "this needs admin over all sessions")
    return principal


class Operators:
    """The operators' routes of one server."""

    def __init__(self, listener: Listener, requests: Requests) -> None:
        self.listener = listener
        self.hub = listener.hub
        self.requests = requests

    def routes(self) -> list[BaseRoute]:
        """All routes."""
        return [
            Route("/v1/connections", self.connections, methods=["GET"]),
            Route("/v1/connections/{connection}", self.cut, methods=["DELETE"]),
            Route("/v1/runs", self.runs, methods=["GET"]),
            Route("/v1/activity", self.activity, methods=["GET"]),
            Route("/v1/stats", self.stats, methods=["GET"]),
        ]

    def _operator(self, request: Request) -> Principal:
        return require_operator(self.requests, request)

    async def connections(self, request: Request) -> Response:
        """Open connections: `{connections: [{connection, actor, surface, device, paused, sessions, titles, …}], all}`."""
        principal = self._operator(request)
        tenant = principal.tenant
        connections = [conn for conn in self.hub.connections.values() if conn.principal.tenant == tenant]
        page = connections[: limits.OPERATOR_ROWS]
        return json_response(
            {"connections": [self._connection(conn, principal) for conn in page], "all": len(connections)}
        )

    def _connection(self, conn: HubConnection, principal: Principal) -> dict[str, Any]:
        worker = self.hub.workers.by_connection.get(conn.ident)
        reads = self.hub.readers.by_connection.get(conn.ident, {})
        titles = {
            session: reader.session.index.title for session, reader in reads.items() if principal.may("read", session)
        }
        return {
            "connection": conn.ident,
            "actor": conn.principal.actor,
            "surface": conn.surface,
            "device": conn.device,
            "paused": conn.paused,
            "sessions": list(reads),
            "titles": titles,
            "serves": sorted(worker.agents) if worker is not None else [],
            "runs": [{"session": key.session, "run": run} for key, run in worker.attempts]
            if worker is not None
            else [],
        }

    async def cut(self, request: Request) -> Response:
        """Drop a connection without a word, as a dead network would. Nothing else happens by that (CTL-1)."""
        principal = self._operator(request)
        ident = request.path_params["connection"]
        conn = self.hub.connections.get(ident)
        if conn is None or conn.principal.tenant != principal.tenant:
            raise Refused("connection.not_found")
        connection = self.listener.connections.get(ident)
        if connection is not None:
            connection.abort()
        else:
            conn.close(1012, "cut")
        return json_response({})

    async def runs(self, request: Request) -> Response:
        """Runs that have not ended, of sessions in memory: lost and retried first, then by time."""
        principal = self._operator(request)
        sessions = (hot for hot in self.hub.sessions.values() if hot.key.tenant == principal.tenant)
        runs = [run for hot in sessions for run in self._runs(hot, principal.may("read", hot.key.session))]
        runs.sort(key=lambda run: (-run["losses"], run["queued_ms"]))
        return json_response({"runs": runs[: limits.OPERATOR_ROWS], "all": len(runs)})

    def _runs(self, hot: HotSession, readable: bool) -> Iterator[dict[str, Any]]:
        now = self.hub.clock.monotonic()
        for run in hot.state.runs.values() if hot.state is not None else ():
            lease = hot.leases.get(run.id)
            yield {
                "session": hot.key.session,
                "title": hot.index.title if readable else "",
                "run": run.id,
                "agent": run.agent,
                "status": run.status,
                "parent": run.parent,
                "name": run.name,
                "by": run.by,
                "attempt": run.generation,
                "attempts": run.attempts,
                "losses": run.losses,
                "labels": run.labels,
                "queued_ms": run.queued_ms,
                "worker": run.worker,
                "stopping": run.cancel is not None,
                "lease_s": run.lease_s,
                "lease_left_s": round(lease - now, 3) if lease is not None else None,
            }

    async def activity(self, request: Request) -> Response:
        """Events by second over the last half minute, of the sessions in which any were written, the busiest first."""
        tenant, now = self._operator(request).tenant, self.hub.clock.monotonic()
        activity = {
            hot.key.session: seconds
            for hot in self.hub.sessions.values()
            if hot.key.tenant == tenant and (seconds := hot.activity.seconds(now))
        }
        busiest = sorted(activity.items(), key=lambda row: -sum(row[1]))[: limits.OPERATOR_ROWS]
        return json_response({"sessions": dict(busiest), "all": len(activity)})

    async def stats(self, request: Request) -> Response:
        """The hub's counters and gauges as JSON, and commit times as a histogram: what the console draws over time."""
        self._operator(request)
        counters = asdict(self.hub.stats)
        counters.pop("commit_seconds")
        times = self.hub.stats.commit_seconds
        bounds = [bound if bound != float("inf") else None for bound in BUCKETS]
        histogram = {"bounds_s": bounds, "counts": times.counts, "total_s": times.total_s}
        return json_response({"now_ms": self.hub.clock.wall_ms(), "stats": counters, "commit": histogram})
