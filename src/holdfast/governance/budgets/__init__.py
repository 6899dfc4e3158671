"""Budgets: what may be spent, on anything from the organisation down to one run, and who pays."""
