"""The conformance suite: what a client of the Holdfast protocol, in any language, is held to."""
