"""Many waits and many events of few keys at once, over engines that are killed; and long
transactions of users beside workflows that have nothing to do with them.

Rounds: as many events as waits, by a few keys, sent before anybody waits, or while waits are armed.
No event may lie beside a wait for it, and one that was sent before anybody waited is for one wait.
The engines have no plugin: no sweep repairs anything. The tests run short rounds. The long ones are
a command, which prints its figures as JSON:

    python -m tests.harness.keys --rounds 20 --waits 3000
    python -m tests.harness.keys --held 12
"""
