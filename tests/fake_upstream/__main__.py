"""``python -m tests.fake_upstream``: serve until told to stop. Knobs are options."""

from __future__ import annotations

import argparse
import asyncio
import signal

import msgspec
import uvloop

from tests.fake_upstream.knobs import Knobs, changed
from tests.fake_upstream.server import FakeServer


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(prog="python -m tests.fake_upstream", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any that is free; the one line printed names it")
    parser.add_argument("--keep", action="store_true", help="keep headers and bodies of requests for GET /stats")
    for field in msgspec.structs.fields(Knobs):
        parser.add_argument(f"--{field.name.replace('_', '-')}", help="a knob; knobs.py says what it does")
    options = vars(parser.parse_args())
    host, port, keep = options.pop("host"), options.pop("port"), options.pop("keep")
    try:
        knobs = changed(Knobs(), {name: value for name, value in options.items() if value is not None})
    except ValueError as error:
        parser.error(str(error))
    uvloop.run(_serve(host, port, FakeServer(knobs, keep=keep)))


async def _serve(host: str, port: int, fake: FakeServer) -> None:
    stopped = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    server, port = await fake.listen(host, port)
    print(f"http://{host}:{port}", flush=True)
    await stopped.wait()
    server.close()


if __name__ == "__main__":
    main()
