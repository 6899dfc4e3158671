"""The Vercel AI SDK: UI message streams, versions 5 to 7, over its own WebSocket transport and over HTTP."""
