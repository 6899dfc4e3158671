"""A Chromium driven over its DevTools protocol: just what these tests need.

Wire format: https://chromedevtools.github.io/devtools-protocol/ (JSON over a WebSocket; flat sessions, one per tab).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import picows

FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-default-browser-check",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--disable-dev-shm-usage", "--disable-background-timer-throttling", "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows", "--hide-scrollbars", "--remote-debugging-port=0", "--mute-audio",
]  # fmt: skip
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """A browser on this machine. In CI, as root, it is installed when there is none."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None and os.environ.get("CI") and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "install", "-y", "-qq", "chromium"], check=False, stdout=subprocess.DEVNULL)
        found = shutil.which("chromium")
    return found


class _Listener(picows.WSListener):
    def __init__(self, owner: Chromium) -> None:
        self._owner = owner
        self._part = b""

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type == picows.WSMsgType.CLOSE:
            return
        self._part += frame.get_payload_as_bytes()
        if frame.fin:
            message, self._part = self._part, b""
            self._owner.received(json.loads(message))


class Chromium:
    """One browser process with a profile of its own: an async context manager."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._tabs: dict[str, Tab] = {}
        self._transport: picows.WSTransport | None = None
        self._context: str | None = None

    async def __aenter__(self) -> Self:
        self._profile = tempfile.TemporaryDirectory(prefix="holdfast-browser-", ignore_cleanup_errors=True)
        command = [self._path, *FLAGS, f"--user-data-dir={self._profile.name}", "about:blank"]
        self._process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        noted = Path(self._profile.name) / "DevToolsActivePort"
        async with asyncio.timeout(60):
            while not noted.exists() or len(noted.read_text().splitlines()) < 2:
                if self._process.returncode is not None:
                    raise RuntimeError("the browser did not start")
                await asyncio.sleep(0.05)
        port = noted.read_text().split()[0]
        async with httpx.AsyncClient(trust_env=False) as client:
            version = (await client.get(f"http://127.0.0.1:{port}/json/version")).json()
        self._transport, _ = await picows.ws_connect(
            lambda: _Listener(self), version["webSocketDebuggerUrl"], max_frame_size=1 << 28, enable_auto_ping=False
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        self._profile.cleanup()

    def received(self, message: dict[str, Any]) -> None:
        """From the browser: an answer, or an event of a tab."""
        if "id" in message:
            future = self._answers.pop(message["id"], None)
            if future is not None and not future.done():
                future.set_result(message)
        elif message.get("sessionId") in self._tabs:
            self._tabs[message["sessionId"]].happened(message["method"], message["params"])

    async def call(self, method: str, session: str | None = None, /, **params: Any) -> dict[str, Any]:
        """Do a command and return its result. Raises ``RuntimeError`` when the browser refuses."""
        assert self._transport is not None
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": params, **({"sessionId": session} if session else {})}
        self._transport.send(picows.WSMsgType.TEXT, json.dumps(message).encode())
        async with asyncio.timeout(60):
            answer = await self._answers[number]
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return dict(answer["result"])

    async def tab(self, url: str, *, width: int = 1280, height: int = 800, dark: bool = False) -> Tab:
        """Open a tab in a browsing context of its own, as another window of the same person would be."""
        target = (await self.call("Target.createTarget", url="about:blank", newWindow=True))["targetId"]
        session = (await self.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        tab = self._tabs[session] = Tab(self, session, target)
        for domain in ("Page", "Runtime", "Network"):
            await tab.call(f"{domain}.enable")
        await tab.look(width, height, dark=dark)
        await tab.go(url)
        return tab


class Tab:
    """One tab. ``errors`` collects uncaught exceptions and refusals of the page's policy."""

    def __init__(self, browser: Chromium, session: str, target: str) -> None:
        self._browser = browser
        self._session = session
        self._target = target
        self._loaded = asyncio.Event()
        self.errors: list[str] = []

    async def call(self, method: str, /, **params: Any) -> dict[str, Any]:
        """A command for this tab."""
        return await self._browser.call(method, self._session, **params)

    def happened(self, method: str, params: dict[str, Any]) -> None:
        """An event of this tab."""
        if method == "Page.loadEventFired":
            self._loaded.set()
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(str(details.get("exception", {}).get("description", details.get("text"))))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
            self.errors.append(" ".join(str(a.get("value", a.get("description"))) for a in params["args"]))

    async def go(self, url: str) -> None:
        """Load an address."""
        self._loaded.clear()
        await self.call("Page.navigate", url=url)
        async with asyncio.timeout(30):
            await self._loaded.wait()

    async def reload(self) -> None:
        """As a person does with F5."""
        self._loaded.clear()
        await self.call("Page.reload")
        async with asyncio.timeout(30):
            await self._loaded.wait()

    async def run(self, expression: str) -> Any:
        """Evaluate JavaScript and return its (awaited) JSON value."""
        answer = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"].get("exception", {}).get("description", answer)))
        return answer["result"].get("value")

    async def until(self, expression: str, seconds: float = 60.0) -> Any:
        """Wait until an expression is truthy and return its value."""
        value = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    try:
                        value = await self.run(expression)
                    except RuntimeError as error:  # the page goes somewhere else just now
                        if "navigated" not in str(error) and "context was destroyed" not in str(error):
                            raise
                    if value not in (None, False, 0, ""):  # a node comes as {}
                        return value
                    await asyncio.sleep(0.05)
        raise AssertionError(
            f"still not: {expression} ({value!r}); the page says: {await self.run('document.body.innerText')}"
        )

    async def click(self, selector: str) -> None:
        """Click what a selector finds, when it is there and enabled."""
        quoted = json.dumps(selector)
        await self.until(
            f"(() => {{ const n = document.querySelector({quoted}); return n && !n.disabled && n.checkVisibility(); }})()"
        )
        await self.run(f"document.querySelector({quoted}).click()")

    async def press(self, key: str) -> None:
        """One key, down and up."""
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        await self.call(
            "Input.dispatchKeyEvent",
            type="keyDown",
            key=key,
            text=text,
            windowsVirtualKeyCode={"Enter": 13, "Escape": 27}.get(key, 0),
        )
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def type(self, selector: str, text: str) -> None:
        """Focus a field and type over what is in it."""
        await self.run(f"(field => (field.focus(), field.select?.()))(document.querySelector({json.dumps(selector)}))")
        await self.call("Input.insertText", text=text)

    async def network(self, *, offline: bool) -> None:
        """Take the network away from the tab, or give it back."""
        await self.call(
            "Network.emulateNetworkConditions", offline=offline, latency=0, downloadThroughput=-1, uploadThroughput=-1
        )

    async def look(self, width: int, height: int, *, dark: bool = False, scale: float = 1) -> None:
        """Size and colour scheme."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 500,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def picture(self, path: str | Path) -> None:
        """Write a PNG of what is seen."""
        data = (await self.call("Page.captureScreenshot", format="png"))["data"]
        Path(path).write_bytes(base64.b64decode(data))

    async def close(self) -> None:
        """Close the tab."""
        await self._browser.call("Target.closeTarget", targetId=self._target)
