"""Which version this is: a leaf, so that who wants to know it need not know everything."""

__version__ = "0.1.0"
