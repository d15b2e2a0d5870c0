"""What the stages know of a store: protocols and the plain data that crosses them.

Writes are scripts without input or output of their own: generators that yield a
:class:`Statement` (or :class:`WithSession`) and are sent its rows. The SQLite writer
thread drives them directly, asyncpg drives them with awaits; the script is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeVar, final

from vallum.declare.dialect import DialectName
from vallum.declare.when import CredentialKind

Value = Any
"""What a driver takes and gives: None, int, float, str, bytes (PostgreSQL: also its own types)."""
Row = Sequence[Value]
T = TypeVar("T")

WIDE: Final = "vallum_wide"
"""A name that stands in statements whose few rows may have megabytes: none of them is for the event loop."""


VIOLATION: Final = "vallum_violation"
"""Where the `info` of a handler's Session has a function: the Violation behind an error of SQLAlchemy's, or None."""


@final
class Statement(NamedTuple):
    """Text in the store's dialect with its positional arguments."""

    text: str
    arguments: Sequence[Value]


@final
@dataclass(frozen=True, slots=True)
class WithSession:
    """Run `work` with a SQLAlchemy Session inside the script's transaction; its result is sent back.

    A commit inside ends only a savepoint. The Session has `info[VIOLATION]`.
    """

    work: Callable[[Any], Any]


Script = Generator[Statement | WithSession, Any, T]
"""Yields statements, is sent a list of rows for each, returns the outcome; an exception undoes all of it."""


@final
class Violation(Exception):
    """A constraint said no. Thrown into the script at the statement that broke it.

    Attributes:
        kind: which sort of constraint.
        table: as the store names it, or None when it does not say (SQLite foreign keys).
        columns: of the constraint, as far as the store says.
        name: of the constraint, or None.
    """

    def __init__(
        self,
        kind: Literal["unique", "foreign", "check", "not_null"],
        table: str | None = None,
        columns: tuple[str, ...] = (),
        name: str | None = None,
    ) -> None:
        super().__init__(" ".join([kind, table or "", *columns]))
        self.kind = kind
        self.table = table
        self.columns = columns
        self.name = name


@final
@dataclass(frozen=True, slots=True)
class Principal:
    """A caller that is known, as the store holds it together with the credential it came with.

    Attributes:
        id: the NAME given by the operator; None for the anonymous caller.
        roles, attributes, plan: what the operator gave it.
        epoch: moved by every change of this principal; a cached copy with another epoch is void.
        tokens_from: tokens issued before this Unix second are void.
        credential: `"token"`, `"key"` or None.
        scopes: of the credential; None when it is not limited by scopes.
        login_at: Unix seconds of the login behind the token, or None.
        key: identifier of the API key, never its secret; None with another credential.
    """

    id: str | None
    roles: frozenset[str] = frozenset()
    attributes: Mapping[str, int | str | bool] = field(default_factory=dict)
    plan: str = "default"
    epoch: int = 0
    tokens_from: int = 0
    credential: CredentialKind | None = None
    scopes: frozenset[str] | None = None
    login_at: int | None = None
    key: str | None = None


class Principals(Protocol):
    """Accounts, as the path needs them."""

    async def load(self, name: str, token_id: str = "") -> Principal | None:
        """The principal, or None when it is unknown or disabled, or the access token of this `jti` is revoked."""

    async def epoch(self, name: str) -> int | None:
        """Its present epoch, or None when it is unknown or disabled."""


class Database(Protocol):
    """The application's data, Vallum's own tables beside it."""

    dialect: DialectName

    @property
    def opaque(self) -> frozenset[str] | None:
        """Names in the database behind which more may happen than a statement that writes can see before its end: views,
        functions, tables with triggers. None where a write is several statements anyway.
        """

    async def run(self, statement: Statement) -> list[Row]:
        """Run one statement that writes, in a transaction of its own.

        Raises:
            Violation: nothing is written.
            Refusal: QUERY_TIMEOUT, BUSY.
        """

    async def read(self, statement: Statement) -> list[Row]:
        """Run one SELECT on a consistent snapshot.

        Raises:
            Refusal: QUERY_TIMEOUT when it ran too long, BUSY when the store is not available.
        """

    async def write(self, script: Callable[[], Script[T]]) -> T:
        """Run a script in one transaction and return what it returns once that is on disk.

        The script is made anew if the store asks to try again.

        Raises:
            Refusal: what the script raised (nothing is written), BUSY when the queue is full.
        """


class ServedDatabase(Database, Principals, Protocol):
    """A store of one process that serves: what the path needs, and its beginning and end."""

    async def start(self) -> None:
        """Open it.

        Raises:
            StoreError: it is missing, cannot be used as it is, or is of another version.
        """

    async def stop(self) -> None:
        """Finish what runs and close."""


class CommandDatabase(AbstractContextManager["CommandDatabase"], Protocol):
    """The same store without an event loop, for one command."""

    dialect: DialectName

    def read(self, statement: Statement) -> list[Row]:
        """Run one SELECT."""

    def write(self, script: Callable[[], Script[T]]) -> T:
        """Run a script in a transaction of its own; what it raised is raised, and nothing is written."""

    def look(self, script: Callable[[], Script[T]]) -> T:
        """Run a script that only reads, on one snapshot, without keeping a server from writing."""

    def analyze(self) -> None:
        """Count what is in the tables, so that the right index is chosen; after seeding."""

    def close(self) -> None:
        """Let it go."""
