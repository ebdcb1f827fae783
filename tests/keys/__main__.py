"""Makes the tests' modules importable, as pytest does, and runs the command."""

import runpy
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
runpy.run_module("keys.command", run_name="__main__", alter_sys=True)
