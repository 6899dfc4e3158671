"""The model gateway: existing programs change base URL and key, and every call has a name and a cost."""
