"""Recorded streams of model providers: how they are framed, what they say, and a server that plays them."""
