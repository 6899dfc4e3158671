"""Codecs of model providers' wires: bytes of a stream to typed pieces, and pieces to the bytes of a stream. Pure."""
