"""What of the suite is run in every environment."""

FACTS = "BATON_TEST_FACTS"
"""Names the variable that tells the tests where they must be."""
POOLER = "BATON_TEST_POOLER"
"""Names the folder of the pooler's socket."""
APPLIES = "test_the_environment_applies"

FILES = (
    "harness/environments/applied.py",
    "building/test_insert.py",
    "performing/test_gate_running.py",
    "settling/test_completion.py",
    "settling/test_races_join.py",
    "waits/test_waits_gates.py",
    "runtime/test_rescue.py",
    "sweep/test_plugin.py",
    "migrating/test_migrations.py",
)

# Their subject is what a pooler does not have: notifications, and sessions that last.
NOT_THROUGH_A_POOLER = (
    "(test_a_client_waits_before_and_after_the_end and True)",
    "(test_connections_that_die_lose_nothing and True)",
)

# One compares the database's clock with its own; in the other time.sleep fails, which libfaketime
# breaks.
NOT_WITH_A_WRONG_CLOCK = (
    "test_what_a_completion_tells",
    "test_a_step_that_blocks_the_loop_is_not_rescued",
)

# They name the schemas that they are about, also without "baton.".
NOT_IN_ANOTHER_SCHEMA = ("test_migrations",)
