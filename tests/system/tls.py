"""What testssl.sh finds at HOST:PORT that is worse than LOW.

The certificate's authority and the five minutes of HSTS are those of development, and are meant.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

MEANT = {"HSTS_time", "cert_revocation", "DNS_CAArecord", "engine_problem", "scanTime"}
WORSE = {"MEDIUM", "HIGH", "CRITICAL", "FATAL"}
CHECKS = ["--protocols", "--std", "--fs", "--headers"]
SECONDS = 90

place, authority, report = sys.argv[1:]
program = shutil.which("testssl") or shutil.which("testssl.sh")
if program is None:
    sys.exit("testssl.sh is not installed")
quiet = ["--quiet", "--color", "0", "--warnings", "off", "--add-ca", authority, "--jsonfile", report]
subprocess.run([program, *quiet, *CHECKS, f"https://{place}/"], stdout=subprocess.DEVNULL, check=False, timeout=SECONDS)
findings = {found["id"]: found for found in json.loads(Path(report).read_text(encoding="utf-8"))}
for name, expected in {"TLS1_3": "offered", "TLS1_2": "not offered", "SSLv3": "not offered"}.items():
    if not findings[name]["finding"].startswith(expected):
        sys.exit(f"{name}: {findings[name]['finding']}")
bad = [found for name, found in findings.items() if found["severity"] in WORSE and name not in MEANT]
for found in bad:
    print(found["severity"], found["id"], found["finding"])
print(f"{len(findings)} findings, {len(bad)} worse than LOW")
sys.exit(bool(bad))
