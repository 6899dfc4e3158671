"""The model providers of the demo company: a server that makes answers up, counts as providers count, and writes bills."""
