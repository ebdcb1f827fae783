"""Known vulnerabilities of what is installed; what could not be looked up is no pass.

    python -m tests.harness.audit

Status 0: every package was looked up and none is vulnerable; 1: some are; 2: not available.
"""
