"""Engines in processes that are killed, stopped and cut off while their server restarts.

Workflows of mixed fate are inserted, and some of them cancelled, all the while. When the storm is
over everything has to come to its end; the ledger, which is a file, is compared with the tables.
The tests run a short storm. A longer one is a command:

    python -m tests.chaos --minutes 20 --engines 3
"""
