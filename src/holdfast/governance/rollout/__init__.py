"""The plan: gates whose verdicts are computed from evidence, the doors they hold, waivers, and what to do next."""
