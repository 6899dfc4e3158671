"""Commands that talk to a running server: sessions, tail, send, cancel, steer, approve."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer
from rich.text import Text

from holdfast.cli import output
from holdfast.cli.options import AsJson, Db, Token, Url, connect, run, token_for
from holdfast.cli.radius import Radii
from holdfast.client.feed import Snapshot
from holdfast.client.run import Run
from holdfast.errors import Refused
from holdfast.protocol import events as e
from holdfast.protocol import wire
from holdfast.protocol.events import Event
from holdfast.protocol.fold import View
from holdfast.protocol.rows import SessionRow

SessionId = Annotated[str, typer.Argument(help="Id of the session.", show_default=False)]


def sessions(
    search: Annotated[str, typer.Argument(help="Words to look for in titles and last words.")] = "",
    url: Url = "http://127.0.0.1:7417", token: Token = None, db: Db = "holdfast.db", as_json: AsJson = False,
) -> None:  # fmt: skip
    """List sessions: newest activity first, what is unread, what waits for a person."""

    async def work() -> None:
        async with connect(url, token, db) as hf, hf.sessions() as listed:
            rows = [
                r
                for r in listed.rows
                if search.lower() in msgspec.json.encode([r["title"], r["card"]]).decode().lower()
            ]
        if as_json:
            return output.say_json(rows)
        if not rows:
            return output.say("No sessions. Create one: holdfast send NEW 'hello' --agent NAME", style="dim")
        columns = ("", "session", "title", "newest run", "waits", "active", "events")
        return output.say(output.table(columns, map(_row, rows)))

    run(work, as_json)


def _row(row: SessionRow) -> list[str | Text]:
    card = row["card"]
    return [
        "•" if row["unread"] else "",
        row["session"],
        row["title"],
        output.state(card["run"]) if "run" in card else "",
        str(card.get("approvals", "")),
        output.ago(row["active_ms"]),
        str(row["tail"]),
    ]


def send(
    session: SessionId,
    text: Annotated[str, typer.Argument(help="What to say.")],
    agent: Annotated[str, typer.Option(help="Who answers; the session's own agent by default.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show the answer as it is written.")] = False,
    create: Annotated[bool, typer.Option(help="Create the session when it does not exist.")] = True,
    url: Url = "http://127.0.0.1:7417", token: Token = None, db: Db = "holdfast.db", as_json: AsJson = False,
) -> None:  # fmt: skip
    """Say something; prints the id of the run that answers, and says when no worker is there for it."""

    async def work() -> None:
        async with connect(url, token, db) as hf:
            if create:
                try:
                    await hf.create(session)
                except Refused as error:
                    if error.code != "session.exists":
                        raise
            started = await hf.session(session).send(text, agent=agent)
            if as_json:
                report = {"session": session, "input": started.input, "run": started.id, "served": started.served}
                if follow and started.id:
                    report |= {"status": (await started.finished())["status"], "text": await started.text()}
                return output.say_json(report)
            if started.id:
                output.say(f"run {started.id}", style="dim")
            else:
                output.say("said; no agent was addressed, so nobody answers", style="dim")
            if started.served is False:
                output.say(
                    output.state("queued"), ": no worker serves this agent; the run waits until one does", to=output.err
                )
            if follow and started.id:
                await show_answer(started)
        return None

    run(work, as_json)


async def show_answer(run_: Run) -> None:
    """What a run says and how it ended: in a terminal as it is written, elsewhere once, without the text of lost attempts."""
    if output.out.is_terminal:
        await stream_answer(run_)
    outcome = await run_.finished()
    if not output.out.is_terminal:
        output.say(output.prose(await run_.text(), indent=""))
    output.say(output.state(outcome["status"]))
    if "error" in outcome:
        output.say(f"{outcome['error'].get('code', '')}  {outcome['error'].get('message', '')}", to=output.err)


async def stream_answer(run_: Run) -> None:
    """What a run says, piece by piece."""
    while True:
        try:
            async for piece in run_.stream():
                output.say(output.prose(piece, indent=""), end="", wrap=False)
            return output.say()
        except Refused as error:
            if error.code != "run.fenced":
                raise
            output.say()
            output.say("the attempt was lost; the next one begins anew", style="dim")


def tail(
    session: SessionId,
    raw: Annotated[bool, typer.Option("--raw", help="Events as they are stored, from the first, one JSON line each.")] = False,
    folded: Annotated[bool, typer.Option("--folded", help="The folded view, once, and leave.")] = False,
    after: Annotated[int | None, typer.Option(help="Begin after this seq instead of with everything.", min=0)] = None,
    until_idle: Annotated[bool, typer.Option("--until-idle", help="Leave when no run is left.")] = False,
    url: Url = "http://127.0.0.1:7417", token: Token = None, db: Db = "holdfast.db",
) -> None:  # fmt: skip
    """Follow a session as it happens; reconnects by itself and misses nothing."""

    async def work() -> None:
        async with connect(url, token, db) as hf:
            followed = hf.session(session)
            if folded:
                view = await followed.state()
                return output.say_json(view.export()) if raw else show_view(view)
            state, folded_seq = View(), 0  # the fold up to ``folded_seq``: idle is judged by the newest state there is
            printer = Printer(raw)
            start: Any = "snapshot"
            begin = 0 if raw and after is None else after

            def idle(seq: int) -> bool:
                return until_idle and seq >= folded_seq and all("ended_ts" in run for run in state.runs.values())

            if begin is not None:
                async with followed.live() as live:
                    state, folded_seq = View.load(live.view.export()), live.seq
                    start = wire.Cursor(live.cursor.incarnation, begin)
                if idle(begin):
                    return None
            async for item in followed.events(after=start):
                if isinstance(item, Snapshot):
                    state, folded_seq = View.load(item.view), item.seq
                    printer.snapshot(item.seq, state)
                else:
                    printer.event(item)
                    if item.last > folded_seq:
                        state.apply(item)
                if idle(item.seq if isinstance(item, Snapshot) else item.last):
                    return None
        return None

    run(work, raw)


class Printer:
    """Shows events as people read them: text flows, everything else is one line."""

    def __init__(self, raw: bool) -> None:
        self.raw = raw
        self._in_text: str | None = None

    def snapshot(self, seq: int, view: View) -> None:
        """The state at which reading begins, or goes on."""
        if self.raw:
            output.say_json({"snapshot": seq, "view": view.export()})
        else:
            show_view(view)

    def event(self, event: Event) -> None:
        """One event."""
        if self.raw:
            return output.say_json(event)
        if event.type == e.TEXT_CONTENT:
            if self._in_text != event.data["messageId"]:
                self._in_text = event.data["messageId"]
                output.say()
                output.say(f"{event.actor}: ", style="bold", end="")
            return output.say(output.prose(event.data["delta"]), end="")
        if event.type in e.DELTAS or event.type in (e.TEXT_START, e.TEXT_END):
            return None
        if self._in_text is not None:
            output.say()
            self._in_text = None
        return self._line(event)

    def _line(self, event: Event) -> None:
        detail = event.data.get("text") or event.data.get("status") or event.data.get("toolCallName") or ""
        detail = detail or _text_of(event.data.get("content"))
        detail = detail or " ".join(
            str(event.data[k]) for k in ("tool", "decision", "reason", "agent") if k in event.data
        )
        output.say(
            (f"{event.seq:>6} ", "dim"),
            (f"{event.actor} ", "bold"),
            f"{event.type} ",
            (event.run or "", "dim"),
            f"  {detail}"[:200],
        )


def show_view(view: View) -> None:
    """The folded view: the conversation of the branch shown, and how its runs stand."""
    for item in view.visible():
        if item["kind"] == "message":
            output.say((f"{item['actor']}: ", "bold"), output.prose(item["text"]))
        elif item["kind"] == "approval":
            output.say(f"  approval {item['id']}: {item['tool']} — {item['status']}", style="yellow")
        elif item["kind"] == "tool":
            output.say(f"  {item['name']} — {item['status']}", style="dim")
        elif item["kind"] == "activity" and (text := _text_of(item.get("content"))):
            output.say(f"  {item['name']}: ", output.prose(text, indent="    "), style="yellow")
    for run_ in view.runs.values():
        cancel_of = run_.get("cancel") if run_["status"] == "cancelled" else None
        stopped = f" by {cancel_of['by']}" if cancel_of else ""
        output.say((f"  {run_['id']} ", "dim"), f"{run_['agent']} ", output.state(run_["status"]), stopped)


def _text_of(content: object) -> str:
    """The sentence of an activity that has one."""
    text = content.get("text") if isinstance(content, dict) else ""
    return text if isinstance(text, str) else ""


def cancel(
    session: SessionId,
    run_id: Annotated[str | None, typer.Option("--run", help="One run.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every run of the session.")] = False,
    force: Annotated[bool, typer.Option("--force", help="At once, without waiting for the agent.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why, for everybody who watches.")] = "",
    url: Url = "http://127.0.0.1:7417", token: Token = None, db: Db = "holdfast.db", as_json: AsJson = False,
) -> None:  # fmt: skip
    """Stop runs: mine by default, one with --run, all with --all."""
    if run_id is not None and everything:
        raise typer.BadParameter("--run names one run and --all every run: give one of them")

    async def work() -> None:
        async with connect(url, token, db) as hf:
            op = wire.Cancel(
                session=session,
                run=run_id,
                scope="all" if everything else "run" if run_id else "mine",
                force=force,
                reason=reason,
            )
            answer = await hf.connection.request(op)
        if as_json:
            return output.say_json(answer)
        names = ", ".join(answer.get("runs", []))
        return output.say(f"asked to stop: {names}" if names else "nothing was running")

    run(work, as_json)


def steer(
    session: SessionId,
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run to steer.")],
    text: Annotated[str, typer.Argument(help="What it should heed.")],
    url: Url = "http://127.0.0.1:7417", token: Token = None, db: Db = "holdfast.db", as_json: AsJson = False,
) -> None:  # fmt: skip
    """Put words into a running run."""

    async def work() -> None:
        async with connect(url, token, db) as hf:
            ident = await hf.session(session).steer(run_id, text)
        if as_json:
            return output.say_json({"steer": ident})
        return output.say(f"steer {ident} is on its way", style="dim")

    run(work, as_json)


def approve(
    session: SessionId,
    approval: Annotated[str | None, typer.Argument(help="The approval; shows what waits when left out.")] = None,
    deny: Annotated[bool, typer.Option("--deny", help="Deny it instead.")] = False,
    note: Annotated[str, typer.Option(help="A word to the agent.")] = "",
    url: Url = "http://127.0.0.1:7417", token: Token = None, db: Db = "holdfast.db", as_json: AsJson = False,
) -> None:  # fmt: skip
    """Decide an approval, or list what waits for a decision."""

    async def work() -> None:
        own = token_for(token, db)
        async with connect(url, own, db) as hf:
            here, radii = hf.session(session), Radii(hf, url, own, session)
            waiting = []
            if approval is None or radii.are_known:
                waiting = [
                    i for i in (await here.state()).items if i["kind"] == "approval" and i["status"] == "pending"
                ]
            if approval is None:
                if as_json:
                    return output.say_json([item | await radii.field(item) for item in waiting])
                for item in waiting:
                    whose = f" for {item['requester']}" if "requester" in item else ""
                    output.say((item["id"], "bold"), f"  {item['tool']}", (f"  {item['actor']}{whose}", "dim"))
                    output.say_args(item["args"])
                    radii.say(await radii.sentence(item))
                return None if waiting else output.say("nothing waits for a decision", style="dim")
            if not deny:
                radii.say("".join([await radii.sentence(item) for item in waiting if item["id"] == approval]))
            await (here.deny if deny else here.approve)(approval, note=note)
            return output.say("denied" if deny else "approved")

    run(work, as_json)
