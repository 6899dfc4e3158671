"""What takes agents from a demo to a whole organisation, computed from the log and the ledger."""
