"""What was spent, one row for every attempt that a provider served."""
