"""A database that is away, full, read-only or out of connections, and stops at any moment.

    python -m tests.harness.outages                  each trouble for a minute, and a hundred stops
    python -m tests.harness.outages --seconds 5 --stops 10
    python -m tests.harness.outages --seconds 0 --stops 0 --silent 20    only what ends in a silence

What must hold: the process lives, tries again later and later but never later than some seconds,
says little, and within ten seconds after the trouble's end everything has ended as if there had
been none. A process that is asked to stop ends in its time, whatever the moment; so does an engine
or a plugin whose database has fallen silent, because the server is frozen or down, or because the
network swallows everything.
"""
