"""Computes the verdicts of a plan again from what they state. Shares no code with the gates; see README.md."""
