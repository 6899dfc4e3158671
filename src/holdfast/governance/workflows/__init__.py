"""Workflows: what each is allowed to be, who answers for it, where it stands, and what its runs did."""
