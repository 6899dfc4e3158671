"""The edge: everything between the network and the hub."""
