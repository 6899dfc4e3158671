"""The demo company, part by part."""
