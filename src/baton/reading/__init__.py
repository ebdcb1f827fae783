"""Reads for those who look: insights, usage. Changes nothing."""
