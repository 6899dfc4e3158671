"""The port of extensions: what plugs into a server, and how it is found, checked, started and stopped."""
