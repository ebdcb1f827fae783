"""Handles: one workflow, and one queue, of an engine, with what may be asked of them."""
