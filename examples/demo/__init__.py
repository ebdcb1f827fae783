"""Reads a folder of texts, logs and markdown files as one workflow, and writes a report."""
