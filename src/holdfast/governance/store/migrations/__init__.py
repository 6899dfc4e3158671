"""How databases of earlier versions become databases of this one, step by step, one line of steps per domain."""
