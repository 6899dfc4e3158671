"""What the audit says: the report as data, in a terminal, as one page."""
