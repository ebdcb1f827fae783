"""The whole library against a pure model, call by call, with crashes in between.

The model is plain Python: `state` (what there is), `needs` (what a dependency means to a step),
`graph` (how steps settle, how waits end), `work`, `resetting`, `verbs` and `operations` (what each
call does, commit by commit). The machine is Hypothesis's: `bench` makes each call to both,
`working`, `requests`, `asking`, `retrying` and `sweeping` hold the rules, `branching` and `machine`
those that play many in turn, and the end, in which everything settles. After every rule
`comparison` reads all tables; what they show must be the model. `mutants` are naive variants of the
library, each of which must be told from it.

The tests play few examples, the same each time; the command plays many, counts what it has seen and
fails when it has not seen everything it should:

    python -m tests.harness.model --examples 5000 --steps 60 --seed 1
    python -m tests.harness.model --mutants
"""
