"""Evidence that no single query gives: each is made by the domain that owns the matter, and put into rows here."""
