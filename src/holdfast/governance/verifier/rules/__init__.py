"""The rule of each gate, written a second time from what the plan says of it, and not from the gates' code."""
