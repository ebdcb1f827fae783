"""Engines at a steady, moderate rate for a long time: does anything grow?

Workflows of all kinds run while the plugin prunes with short ages; memory, tasks, connections,
locks, tables, indexes and latencies are sampled, and the quarters of the run compared. The tests
run some seconds of it. The real thing is a command, whose report is JSON:

    python -m tests.harness.soak --minutes 60
"""
