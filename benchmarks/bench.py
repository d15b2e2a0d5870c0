"""What all parts of a run share: how long to measure, where to put things, and the Schools that were filled already."""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Final

from rich.console import Console
from tests.stores import Server as Postgres

from benchmarks import filled
from benchmarks.filled import School

STORES: Final = ("sqlite", "postgresql")
SCHOOL_APP: Final = "benchmarks.school_app:api"


@dataclasses.dataclass
class Bench:
    """One run.

    Attributes:
        seconds: of each single measurement; 0 starts and compares everything and measures nothing.
        rounds: measurements of each target.
        connections: of wrk, and of pgbench.
        folder: temporary.
    """

    seconds: int
    rounds: int
    connections: int
    folder: Path
    console: Console
    stack: ExitStack

    @property
    def runs(self) -> str:
        """For people."""
        return f"{self.rounds} runs of {self.seconds} s, in turns, {self.connections} connections"

    @cached_property
    def postgres(self) -> Postgres:
        """A server of this run's own, started as the tests start theirs."""
        server = Postgres()
        self.stack.callback(server.stop)
        return server

    @cached_property
    def sqlite_school(self) -> School:
        """Filled once."""
        with self.console.status("Filling a School on SQLite"):
            return filled.school(self.folder / "school", None)

    @cached_property
    def postgres_school(self) -> School:
        """Filled once."""
        with self.console.status("Filling a School on PostgreSQL"):
            url = self.new_database()
            school = filled.school(self.folder / "school-postgresql", url)
            self.vacuum(url)
            return school

    def school(self, store: str) -> School:
        """Of this store."""
        return self.sqlite_school if store == "sqlite" else self.postgres_school

    def new_database(self) -> str:
        """The URL of an empty one."""
        return self.postgres.url(self.postgres.database())

    def vacuum(self, url: str) -> None:
        """What autovacuum would have done long ago on a database in use; the tests' server has none."""
        name = url.partition("?")[0].rpartition("/")[2]
        self.postgres.rows(name, "VACUUM ANALYZE")
