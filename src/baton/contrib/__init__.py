"""Bridges to other libraries. Each imports what it bridges to, and only that."""
