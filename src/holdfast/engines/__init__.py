"""Engines keep logs; they know frames and no runs."""
