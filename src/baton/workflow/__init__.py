"""Workflows: built, inserted, performed, settled. Knows nodes; leaves SQL to the store."""
