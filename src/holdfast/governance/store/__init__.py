"""Where the governance half keeps what it knows: one database, SQLite or PostgreSQL, that all its domains share."""
