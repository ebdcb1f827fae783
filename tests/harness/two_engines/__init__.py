"""Engines in several processes on one database, and the ground truth that is outside of it all.

Steps write what they do to a ledger of their own; what the tables say is compared with it and with
what each workflow had to come to. The tests run a small size. A larger one is a command:

    python -m tests.harness.two_engines --workflows 2000 --rounds 20

It brings its own server, or uses the one that BATON_TEST_DSN names, and prints figures per round.
"""
