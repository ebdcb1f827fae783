"""Examples of Baton: each one runs."""
