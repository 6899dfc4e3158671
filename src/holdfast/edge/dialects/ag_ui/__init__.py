"""AG-UI: see ``routes.py``."""
