"""Runs each command of the demo's page as it stands there, and compares the status that the page promises."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

COMMAND = re.compile(r"^# (\d{3}): (.+)\n(.+)$", re.MULTILINE)
FEWEST = 15
SECONDS = 20

found = COMMAND.findall(Path(sys.argv[1]).read_text(encoding="utf-8"))
wrong = 0 if len(found) >= FEWEST else 1
for status, shows, command in found:
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=SECONDS)
    last = (done.stdout.split() or ["nothing"])[-1]
    said = re.sub(r"^The (?:key|secret) of \S+, shown this once\..*\n", "", done.stderr)
    right = (last, done.returncode, said) == (status, 0, "")
    wrong += not right
    print(f"{'ok   ' if right else 'WRONG'} {status} {shows}" + ("" if right else f"\n{done.stdout}{done.stderr}"))
print(f"{len(found)} commands, {wrong} wrong")
sys.exit(bool(wrong))
