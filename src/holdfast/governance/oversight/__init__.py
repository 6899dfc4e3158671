"""Who may look and decide: roles, and the login to the console by an identity provider."""
