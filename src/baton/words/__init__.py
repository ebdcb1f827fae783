"""The words of Baton: errors, states, rows, events, configuration. Imports nothing of ours."""
