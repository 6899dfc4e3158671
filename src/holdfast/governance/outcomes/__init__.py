"""What became of work: accepted, rejected or escalated, said by people, checks and systems, never by the agent itself."""
