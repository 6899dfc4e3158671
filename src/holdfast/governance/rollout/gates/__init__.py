"""One gate a file: what it asks, and the rule that makes a verdict of the answers. Pure."""
