"""The demo: a server, its agents and a chat page."""
