"""Baton against its peers and against the floor. Run `python -m benchmarks`; README.md explains."""
