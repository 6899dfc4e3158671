"""Spend that never passes the gateway, and bills: reports of providers, invoices, FOCUS files."""
