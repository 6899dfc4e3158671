"""The hub: the only shell around the session program."""
