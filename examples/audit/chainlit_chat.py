"""Chainlit's streaming example."""

import asyncio

import chainlit as cl


@cl.on_message
async def main(message: cl.Message):
    answer = cl.Message(content="")
    for number in range(60):
        await answer.stream_token(f"{message.content[:4]}{number} ")
        await asyncio.sleep(0.04)
    await answer.update()
