"""People as the identity provider has them."""
