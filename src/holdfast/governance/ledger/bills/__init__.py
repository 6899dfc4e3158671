"""The ledger beside the bill: what differs and why, what changed, what was wasted, and the export that others read."""
