"""Which model answers: hard rules, then what was measured, and experiments that try a cheaper one."""
