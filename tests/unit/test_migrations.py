"""The page on migrations, done on both stores: Alembic changes the application's tables and leaves Vallum's alone."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic.config import CommandLine
from tests.unit.serve.served import Said, command

from tests import stores
from vallum.serve.alone import hold

pytestmark = pytest.mark.stores("sqlite", "postgresql")

PAGE = (Path(__file__).parents[2] / "docs" / "migrations.md").read_text(encoding="utf-8")
ENVIRONMENT = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]
APP = """
from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from vallum import API, READ, allow

class Base(DeclarativeBase): ...

class Student(Base):
    __tablename__ = "students"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))

class Grade(Base):
    __tablename__ = "grades"
    id: Mapped[int] = mapped_column(primary_key=True)
    student_id: Mapped[int] = mapped_column(ForeignKey("students.id", ondelete="CASCADE"), index=True)

api = API("School", roles=["reader"])
api.resource(Student, allow("reader", READ))

@api.on_seed
def seed(db):
    db.add(Student(id=1, name="Ada"))
    db.flush()
    db.add(Grade(id=1, student_id=1))
"""
NICKNAME = "    nickname: Mapped[str | None] = mapped_column(String(20))\n"


class Project:
    """A directory with `vallum.toml`, a database and an Alembic environment."""

    def __init__(self, place: Path, store: str, data: str = "data") -> None:
        self.place = place
        self.data = place / data
        self.settings = {"VALLUM_APP": "app:api", "VALLUM_DATA": data}
        if store == stores.POSTGRESQL:
            self.name = stores.server().database()
            self.settings["VALLUM_DATABASE"] = stores.server().url(self.name)
        self.write(APP)
        made = self.vallum("db", "create", "--seed")
        assert made.code == 0, made.err
        if store == stores.POSTGRESQL:
            (self.data / stores.URL_FILE).write_text(self.settings["VALLUM_DATABASE"])
        self.alembic("init", "migrations")
        (place / "migrations" / "env.py").write_text(ENVIRONMENT)

    def write(self, program: str) -> None:
        """The application, as the next command finds it."""
        (self.place / "app.py").write_text(program)

    def vallum(self, *arguments: str) -> Said:
        """A command of ours."""
        self._forget()
        return command(*arguments, cwd=self.place, **self.settings)

    def alembic(self, *arguments: str) -> None:
        """A command of Alembic's."""
        self._forget()
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.place)
            patch.syspath_prepend(str(self.place))
            patch.setattr(sys, "dont_write_bytecode", True)  # the program changes within a second
            for name, value in self.settings.items():
                patch.setenv(name, value)
            CommandLine(prog="alembic").main(list(arguments))

    def _forget(self) -> None:
        for name in [name for name in sys.modules if name == "app"]:
            del sys.modules[name]

    def revision(self) -> str:
        """The text of the newest one."""
        newest = max((self.place / "migrations" / "versions").glob("*.py"), key=lambda path: path.stat().st_mtime_ns)
        return newest.read_text()

    def tables(self) -> int:
        """How many there are of Vallum's."""
        text = {
            True: "SELECT count(*) FROM information_schema.tables WHERE table_name LIKE 'vallum%'",
            False: "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name LIKE 'vallum%'",
        }[stores.database_of(self.data) is not None]
        ((number,),) = stores.rows(self.data, text)
        return int(number)


@pytest.fixture
def project(tmp_path: Path, store: str) -> Iterator[Project]:
    """As the page begins."""
    made = Project(tmp_path, store)
    made.alembic("revision", "-m", "As vallum db create made them")
    made.alembic("stamp", "head")
    yield made
    made._forget()
    if store == stores.POSTGRESQL:
        stores.server().drop(made.name)


def test_a_column_is_added(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """The revision has that and nothing else; rows, references and Vallum's tables stay."""
    ours = project.tables()
    project.write(APP.replace("\nclass Grade", NICKNAME + "\nclass Grade"))
    with pytest.raises(SystemExit):
        project.alembic("check")
    project.alembic("revision", "--autogenerate", "-m", "Students have a nickname")
    assert "add_column" in project.revision()
    assert not re.search(r"vallum_|drop_table|create_table", project.revision())
    project.alembic("upgrade", "head")
    assert re.search(r"^Running upgrade \w+ -> \w+$", capsys.readouterr().out, re.MULTILINE)
    project.alembic("check")
    assert stores.rows(project.data, "SELECT * FROM students") == [(1, "Ada", None)]
    assert stores.rows(project.data, "SELECT * FROM grades") == [(1, 1)]
    assert project.tables() == ours > 5
    project.alembic("downgrade", "-1")
    assert stores.rows(project.data, "SELECT * FROM students") == [(1, "Ada")]
    assert stores.rows(project.data, "SELECT * FROM grades") == [(1, 1)], "the table was made anew, its children stay"


@pytest.mark.stores("sqlite")  # which is opened by the name of a file
def test_a_directory_of_any_name(tmp_path: Path) -> None:
    """What means something in an address means nothing in a name: the revision is in the file that is served."""
    project = Project(tmp_path, stores.SQLITE, "a#b?c=d&%41")
    project.alembic("revision", "-m", "First")
    project.alembic("upgrade", "head")
    project._forget()
    assert stores.rows(project.data, "SELECT count(*) FROM alembic_version") == [(1,)]
    assert {path.name for path in tmp_path.glob("a*")} == {project.data.name, "app.py", "alembic.ini"}


def _upgrading(project: Project, body: str) -> Callable[[], None]:
    """A revision whose `upgrade` is this, about to be run."""
    project.alembic("revision", "-m", "by hand")
    newest = max((project.place / "migrations" / "versions").glob("*.py"), key=lambda path: path.stat().st_mtime_ns)
    text = newest.read_text()
    newest.write_text(text.replace("def upgrade() -> None:", f"def upgrade() -> None:\n{body}", 1))
    return lambda: project.alembic("upgrade", "head")


def test_a_migration_that_fails_changes_nothing(project: Project) -> None:
    """What it did before is undone, its revision is not reached."""
    body = '    op.add_column("students", sa.Column("extra", sa.Integer()))\n    raise LookupError\n'
    with pytest.raises(LookupError):
        _upgrading(project, body)()
    assert stores.rows(project.data, "SELECT * FROM students") == [(1, "Ada")]


def test_rows_are_not_left_without_what_they_refer_to(
    project: Project, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """SQLite looks at the end of all steps, PostgreSQL at each."""
    upgrading = _upgrading(project, '    op.execute("UPDATE grades SET student_id = 9")\n')
    with pytest.raises(SystemExit if store == stores.SQLITE else Exception, match=r"-1|violates"):
        upgrading()
    assert ("FAILED: migration-references (grades)" in capsys.readouterr().out) == (store == stores.SQLITE)
    assert stores.rows(project.data, "SELECT student_id FROM grades") == [(1,)]


def test_sql_instead(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """`--sql` connects to nothing."""
    capsys.readouterr()
    project.alembic("upgrade", "head", "--sql")
    assert "INSERT INTO alembic_version" in capsys.readouterr().out


@pytest.mark.stores("sqlite")
def test_nobody_serves_the_file_meanwhile(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server would go on with statements for other tables."""
    monkeypatch.setattr("vallum.serve.alone.LOCK_SECONDS", 0.0)
    descriptor = hold(project.data)
    try:
        said = _failed(project, capsys)
        assert said == f"FAILED: data-in-use (data: {project.data}): A server runs on it: stop that one."
    finally:
        os.close(descriptor)
    project.alembic("current")


def test_a_database_that_is_not_there(project: Project, store: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Is said as every command says it, and without a traceback."""
    if store == stores.POSTGRESQL:
        project.settings["VALLUM_DATABASE"] = project.settings["VALLUM_DATABASE"].replace(project.name, "nowhere")
    else:
        project.settings["VALLUM_DATA"] = "nowhere"
    assert _failed(project, capsys).startswith("FAILED: database-missing (")


def _failed(project: Project, capsys: pytest.CaptureFixture[str]) -> str:
    """What Alembic says in the end, in its one paragraph."""
    capsys.readouterr()
    with pytest.raises(SystemExit):
        project.alembic("current")
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    return " ".join(said.out.split())
