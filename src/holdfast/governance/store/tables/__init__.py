"""The tables, one module per domain; a domain reads and writes its own and nobody else's."""
