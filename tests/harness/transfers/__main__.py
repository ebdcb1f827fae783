"""Makes the tests' modules importable, as pytest does, and runs the command."""

import runpy
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[n]) for n in (1, 2)]
runpy.run_module("transfers.command", run_name="__main__", alter_sys=True)
