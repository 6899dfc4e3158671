"""What the audit tries, one file per capability."""
