"""`python -m benchmarks.served APP DATA PORT [DATABASE]` serves an API by Vallum, with every check on and the log written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from vallum.serve import run
from vallum.serve.settings import Settings, load

ADDRESS_UNREACHED: Final = 500_000
"""Requests a second of one network address: counted and compared, never met."""


def settings_of(app: str, data: Path, port: int, database: str | None) -> Settings:
    """Of Vallum, and of the bare handlers as far as they have any."""
    return load(
        {
            "app": app,
            "data": data,
            "dev": True,
            "port": port,
            "ops_port": 0,
            "log_format": "json",
            "address_per_second": ADDRESS_UNREACHED,
            "address_burst": ADDRESS_UNREACHED,
        }
        | ({} if database is None else {"database": database})
    )


def main() -> None:
    """Until SIGTERM."""
    app, data, port, *database = sys.argv[1:]
    run.serve(settings_of(app, Path(data), int(port), *database or [None]), lambda: None)


if __name__ == "__main__":
    main()
