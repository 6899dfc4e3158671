"""Other protocols served from the same log: one file, or one small package, each."""
