"""The demo company: ninety simulated days of an organisation whose people and agents use models through the gateway."""
