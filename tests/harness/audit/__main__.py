"""Runs the audit; see the package."""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from audit.judge import judge

SECONDS = 300

command = [sys.executable, "-m", "pip_audit", "--local", "--skip-editable", "--format", "json"]
command += ["--progress-spinner", "off", "--timeout", "15"]
try:
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    status, text = judge(done.stdout, done.stderr)
except subprocess.TimeoutExpired:
    status, text = 2, f"audit: not available: no answer within {SECONDS} s"
sys.stdout.write(f"{text}\n")
sys.exit(status)
