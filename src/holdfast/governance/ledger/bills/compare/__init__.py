"""The ledger beside a provider's report, with a name for what differs."""
