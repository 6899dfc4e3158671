"""Gradio's ChatInterface over a generator, as its documentation streams."""

import os
import time

import gradio as gr


def answer(message, history):
    text = ""
    for number in range(60):
        text += f"{message[:4]}{number} "
        yield text
        time.sleep(0.04)


gr.ChatInterface(answer, api_name="chat").launch(server_name="127.0.0.1", server_port=int(os.environ["PORT"]))
