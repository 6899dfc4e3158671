"""One file for each sort of condition."""
