"""Engines in processes that are killed, stopped and cut off while their server restarts.

Workflows of mixed fate are inserted, some of their steps wait for events that several senders send
early, late or never, and some of them are cancelled, all the while. Others are retried, completed
and cancelled step by step, paused and forked at any moment, or have a deadline (`verbs.py`): of
these nobody knows how they end, but each step settles, and each run is announced once. Connections
are terminated, notifications are lost, listeners fall silent. When the storm is over everything has
to come to its end; the ledger, which is a file, is compared with the tables. The tests run a short
storm. A longer one is a command, which prints its figures as JSON:

    python -m tests.harness.chaos --minutes 20 --engines 3
    python -m tests.harness.chaos --minutes 20 --refused 0.01           refused writes in the mix
    python -m tests.harness.chaos --minutes 20 --refused 0.01 --calm    nothing else
"""
