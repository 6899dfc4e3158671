"""A chat over Starlette's WebSocket: each message is answered word by word on the same connection."""

import asyncio

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocketDisconnect


async def chat(websocket):
    await websocket.accept()
    try:
        while True:
            text = await websocket.receive_text()
            for number in range(60):
                await websocket.send_json({"type": "token", "text": f"{text[:4]}{number} "})
                await asyncio.sleep(0.04)
            await websocket.send_json({"type": "end"})
    except WebSocketDisconnect:
        pass


app = Starlette(routes=[WebSocketRoute("/ws", chat)])
