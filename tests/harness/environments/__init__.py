"""A part of the suite in every environment that Baton is to work in, as a command.

    python -m tests.harness.environments                       everything, in about half an hour
    python -m tests.harness.environments "PostgreSQL 14"       only this
    python -m tests.harness.environments --fetch               first get what can be downloaded
    python -m tests.harness.environments --list

What an environment needs and this machine lacks is looked for in the folder `--tools`: servers in
`postgres-14` and so on (each with `bin` and `lib`), poolers in `pgbouncer-1.24/bin`, interpreters
with Baton's extra `test` in `py3.11`. What is missing is told as "not available here" and is
never counted as passed.
"""
