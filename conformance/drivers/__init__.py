"""Drivers: child processes that do with a client what the suite asks (DRIVER.md)."""
