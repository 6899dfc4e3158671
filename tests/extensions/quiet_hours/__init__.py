"""An extension as somebody else would write it: it uses every part of the port, and the two seams beside it."""
