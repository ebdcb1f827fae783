"""A service in which a person decides: see README.md."""
