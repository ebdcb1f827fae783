"""Transfers between rows of a table of the application's, each by a step in its own transaction,
while processes are killed and frozen, backends terminated and the server restarted; people cancel
workflows and steps and complete steps by hand meanwhile.

In the end every step that completed by itself has moved its amount once, every other one not at
all, and the sum of all accounts is what it was. The tests run a short storm, and a naive variant
that commits its rows apart and is seen to fail. The long one is a command, which prints its figures
as JSON:

    python -m tests.harness.transfers --transfers 10000 --seed 1
"""
