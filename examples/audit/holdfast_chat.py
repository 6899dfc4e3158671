"""Holdfast itself: a server, and two workers in processes of their own that are started again when they die.

Leaves a token for people in ``.token``, and the workers' process ids in ``.writer.pid`` and ``.reader.pid``.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI

import holdfast

HERE = Path(__file__).parent
app = FastAPI()
hub = holdfast.EmbeddedHub("memory:")
app.include_router(hub.router)


async def keep(agent: str, port: int) -> None:
    """What systemd or Kubernetes would do: start the worker, and start it again."""
    environment = {**os.environ, "AUDIT_WORKER_TOKEN": hub.token(f"agent:{agent}", agents=["*"], ttl_s=86_400)}
    command = [sys.executable, str(HERE / "holdfast_worker.py"), f"http://127.0.0.1:{port}", agent, str(HERE)]
    while True:
        worker = await asyncio.create_subprocess_exec(*command, env=environment)
        try:
            await worker.wait()
        finally:
            if worker.returncode is None:
                worker.kill()


async def main(port: int) -> None:
    (HERE / ".token").write_text(hub.token("user:audit"))
    # uvicorn raises the signal that ended it once more; the workers are to end after that
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: None)
    workers = [asyncio.create_task(keep(agent, port)) for agent in ("writer", "reader")]
    config = uvicorn.Config(app, port=port, log_level="warning", timeout_graceful_shutdown=2)
    try:
        await uvicorn.Server(config).serve()
    finally:
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
