"""The audit: break any chat endpoint's connections on purpose and report what broke for the people who use it."""
