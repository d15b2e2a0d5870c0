"""What a handler returns is the caller's to read: a row by itself under the rules, a row inside of something else never."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pydantic
import pytest
from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column
from tests.path.small import NOON, Clock

from tests import stores
from vallum import API, READ, Call, Plan, allow
from vallum.testing import Answer, Client

pytestmark = pytest.mark.stores("sqlite", "postgresql")


class Base(MappedAsDataclass, DeclarativeBase):
    """All tables; each row is a dataclass, of which Pydantic would write every field."""


class Tool(Base):
    """With a price that a member does not read."""

    __tablename__ = "tools"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    price: Mapped[str]


class Draft(Base):
    """No resource."""

    __tablename__ = "drafts"

    id: Mapped[int] = mapped_column(primary_key=True)
    words: Mapped[str]


@dataclasses.dataclass
class Report:
    """A plain dataclass."""

    best: Any


class Summary(pydantic.BaseModel):
    """A model."""

    best: Any


class Loose(pydantic.BaseModel):
    """A model that takes anything."""

    model_config = {"extra": "allow"}


class Derived(pydantic.BaseModel):
    """A model that computes a row."""

    _tool: Any = pydantic.PrivateAttr()

    @pydantic.computed_field
    def best(self) -> Any:
        """The row."""
        return self._tool


@pydantic.dataclasses.dataclass
class Computed:
    """A dataclass of Pydantic's, likewise."""

    tool: dataclasses.InitVar[Any]

    def __post_init__(self, tool: Any) -> None:
        self._tool = tool

    @pydantic.computed_field
    def best(self) -> Any:
        """The row."""
        return self._tool


def derived(tool: Tool) -> Derived:
    """The row is in no field of it."""
    made = Derived()
    made._tool = tool
    return made


SECRET: Final = "hidden words"
INSIDE: Final[dict[str, Callable[[Tool], Any]]] = {
    "a list": lambda tool: [tool],
    "a tuple": lambda tool: (1, tool),
    "a deque": lambda tool: deque([tool]),
    "an entry": lambda tool: {"a": tool},
    "deeply": lambda tool: [{"a": [({"b": tool},)]}],
    "a dataclass": Report,
    "a model": lambda tool: Summary(best=tool),
    "a member that no field names": lambda tool: Loose.model_validate({"best": tool}),
    "a computed field": derived,
    "a computed field of a dataclass": Computed,
    "a root model": lambda tool: pydantic.RootModel[list[Any]]([tool]),
    "a generator": lambda tool: (each for each in [tool]),
    "a generator in a list": lambda tool: [(each for each in [tool])],
    "without a resource": lambda _: Draft(id=1, words=SECRET),
}
CALLED: Final[list[Callable[[Tool], Any]]] = []

api: Final = API("Tools", roles=["member"], plans={"default": Plan(burst="100000/s")})
api.resource(Tool, allow("member", READ, fields=["id", "name"]))
api.accounts.add("mia", roles=["member"])


def first(call: Call) -> Tool:
    """The first tool."""
    return call.db.scalars(select(Tool).order_by(Tool.id)).first() or Tool(id=0, name="", price="")


@api.post("/plain", allow("member"))
def plain(call: Call) -> Any:
    """In the transaction."""
    return CALLED[-1](first(call))


@api.post("/waiting", allow("member"))
async def waiting(call: Call) -> Any:
    """After it."""
    return CALLED[-1](await call.transact(first))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, store: str) -> Path:
    """One tool; nothing here writes."""
    made = tmp_path_factory.mktemp("tools") / "data"
    stores.create(
        api,
        made,
        seed=lambda db: db.add(Tool(id=1, name="saw", price=SECRET)),
        clock=lambda: NOON - 86_400,
        store=store,
    )
    return made


@pytest.fixture
def returned(data: Path) -> Iterator[Callable[[str, Callable[[Tool], Any]], Answer]]:
    """`returned(path, deed)`: the answer when the handler returns `deed(tool)`."""

    def call(path: str, deed: Callable[[Tool], Any]) -> Answer:
        CALLED.append(deed)
        return mia.post(path)

    with ExitStack() as stack:
        mia: Client = stack.enter_context(stores.client(api, "mia", data, Clock()))
        yield call
    CALLED.clear()


Returned = Callable[[str, Callable[[Tool], Any]], Answer]
PATHS: Final = pytest.mark.parametrize("path", ["/plain", "/waiting"])


@PATHS
@pytest.mark.parametrize("deed", INSIDE.values(), ids=INSIDE)
def test_a_row_inside_of_something_is_an_error(returned: Returned, path: str, deed: Callable[[Tool], Any]) -> None:
    """Its hidden column never leaves: the answer is a 500, and the log says what to do."""
    with pytest.raises(TypeError, match="a handler returned a") as raised:
        returned(path, deed)
    assert SECRET not in str(raised.value)


@PATHS
def test_a_row_that_was_never_added_is_an_error(returned: Returned, path: str) -> None:
    """There is nothing to read again."""
    with pytest.raises(TypeError, match=r"a Tool that is not in the database: add it to call\.db first"):
        returned(path, lambda _: Tool(id=2, name="axe", price=SECRET))


@PATHS
def test_what_is_no_row_is_written_as_pydantic_does(returned: Returned, path: str) -> None:
    """A row by itself has the caller's fields; containers, dataclasses and models without rows are as they were."""
    assert returned(path, lambda tool: tool).json() == {"id": 1, "name": "saw"}
    plain: list[Any] = [{"a": (1, b"x", 1.5, None)}, {2}, Report([True]), Loose.model_validate({"b": "c"}), "é"]
    expected = [{"a": [1, "x", 1.5, None]}, [2], {"best": [True]}, {"b": "c"}, "é"]
    assert returned(path, lambda _: plain).json() == expected
