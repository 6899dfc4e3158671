"""Adapters: agents written with a provider's client or a framework, made durable in two or three lines. One file each."""
