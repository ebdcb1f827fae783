-- Takes the right to sweep this schema until the transaction ends, unless somebody has it. A process that is
-- stopped while it sweeps loses it after a minute.
SELECT
    pg_try_advisory_xact_lock(hashtextextended(/*schema_literal*/'baton' || '.baton_sweep', 0)) AS taken,
    set_config('idle_in_transaction_session_timeout', '60s', true) AS bound
