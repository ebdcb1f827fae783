"""Breaks what an engine does at every round trip to its server, and lets others finish it.

For each scenario the round trips are counted once; then it is played again for every one of them,
broken before and after it: the connection is lost, all of them are, the process is killed, or the
server ends the connection. Whatever was broken, every step has one outcome at the end, every wait
one end that its step met, and every workflow one completion. The tests break some points in some
ways; the command breaks all, or those that are named:

    python -m tests.harness.crash_points
    python -m tests.harness.crash_points suspend_and_resume send_by_a_key --ways kill terminate
"""
