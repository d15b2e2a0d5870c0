"""Slow headers, slow bodies and slow reading by slowhttptest: the service goes on, and none of them keeps its place.

Their places are counted on the server's side (/proc/net/tcp): a client that does not read cannot see that it was ended.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

CONNECTIONS = 200
LONGEST = 25
"""Seconds that one kind of attack lasts; longer than each time limit."""
KINDS = {
    "headers": ["-H", "-i", "5", "-t", "GET"],
    "body": ["-B", "-i", "5", "-t", "POST", "-s", "8192"],
    "reading": ["-X", "-w", "1", "-y", "8", "-n", "5", "-z", "32", "-k", "3"],
}
REFUSED_AT_ONCE = "body"
"""Nobody's body is read before its sender is known."""
LISTEN, TIME_WAIT = "0A", "06"

url, folder = sys.argv[1:]
port = int(url.split(":")[2].partition("/")[0])


def places() -> int:
    """Connections that the server's side still has, those that wait to be closed included."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    return sum(int(row[1].partition(":")[2], 16) == port and row[3] not in {LISTEN, TIME_WAIT} for row in rows)


failed = False
for name, options in KINDS.items():
    command = ["slowhttptest", "-c", str(CONNECTIONS), *options, "-r", "100", "-u", url]
    with (Path(folder) / f"slow-{name}.txt").open("w+", encoding="utf-8") as log:
        attack = subprocess.Popen([*command, "-x", "24", "-p", "3", "-l", str(LONGEST)], stdout=log, stderr=log)
        most, left, until = 0, 0, time.monotonic() + LONGEST - 1
        while attack.poll() is None and time.monotonic() < until:
            left = places()
            most = max(most, left)
            time.sleep(0.2)
        left = places()
        attack.wait(timeout=LONGEST)
        log.seek(0)
        text = re.sub(r"\x1b\[[0-9;]*m", "", log.read())
    available = set(re.findall(r"service available: +(\w+)", text))
    attacked = name == REFUSED_AT_ONCE or most > CONNECTIONS // 4
    good = available == {"YES"} and attacked and left < CONNECTIONS // 10
    failed = failed or not good
    print(f"slow {name}: service available {sorted(available)}, at most {most} places, {left} in the end")
sys.exit(failed)
