"""The ledger in the columns of FOCUS."""
