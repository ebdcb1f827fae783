"""Breaks what an engine does at every round trip to its server, and lets others finish it.

For each scenario the round trips are counted once; then it is played again for every one of them,
broken before and after it. Whatever was broken, every step has one outcome at the end and every
workflow one completion. The tests break half of the ways; the command breaks all:

    python -m tests.crash_points
"""
