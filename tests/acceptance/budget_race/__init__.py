"""A race for a tight budget: callers in many processes, gateways and stores that are killed, and a judge who knows the truth."""
