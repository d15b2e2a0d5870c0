"""The School's list of students as the documentation of FastAPI, SQLAlchemy, PyJWT and slowapi writes such things.

The shape is that of FastAPI's tutorial: a session a request, the user behind the token loaded in a dependency, `def`
endpoints that run in threads, a response model, a middleware for headers. Served by uvicorn.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import date
from typing import Annotated

import jwt
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response, status
from fastapi.security import OAuth2PasswordBearer
from pydantic import BaseModel, ConfigDict
from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from slowapi.util import get_remote_address
from sqlalchemy import ForeignKey, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, sessionmaker

SECRET_KEY = os.environ["SECRET"]
ALGORITHM = "HS256"

engine = create_engine(f"sqlite:///{os.environ['DATABASE']}", connect_args={"check_same_thread": False})
SessionLocal = sessionmaker(autocommit=False, autoflush=False, bind=engine)


class Base(DeclarativeBase):
    pass


class Teacher(Base):
    __tablename__ = "teachers"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]


class Classroom(Base):
    __tablename__ = "classrooms"

    id: Mapped[int] = mapped_column(primary_key=True)
    teacher_id: Mapped[str] = mapped_column(ForeignKey("teachers.id"))


class Student(Base):
    __tablename__ = "students"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    born: Mapped[date]
    classroom_id: Mapped[int] = mapped_column(ForeignKey("classrooms.id"))
    account: Mapped[str | None]
    notes: Mapped[str | None]
    left: Mapped[date | None]

    classroom: Mapped[Classroom] = relationship()


class StudentOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str
    born: date
    classroom_id: int
    account: str | None
    notes: str | None
    left: date | None


class Page(BaseModel):
    items: list[StudentOut]


limiter = Limiter(key_func=get_remote_address)
app = FastAPI()
app.state.limiter = limiter
app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)
oauth2_scheme = OAuth2PasswordBearer(tokenUrl="token")


@app.middleware("http")
async def add_security_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    response.headers["Strict-Transport-Security"] = "max-age=63072000"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"
    return response


def get_db() -> Iterator[Session]:
    db = SessionLocal()
    try:
        yield db
    finally:
        db.close()


def get_current_teacher(
    token: Annotated[str, Depends(oauth2_scheme)], db: Annotated[Session, Depends(get_db)]
) -> Teacher:
    credentials_exception = HTTPException(
        status_code=status.HTTP_401_UNAUTHORIZED,
        detail="Could not validate credentials",
        headers={"WWW-Authenticate": "Bearer"},
    )
    try:
        payload = jwt.decode(token, SECRET_KEY, algorithms=[ALGORITHM])
    except jwt.InvalidTokenError:
        raise credentials_exception from None
    teacher = db.get(Teacher, payload.get("sub"))
    if teacher is None:
        raise credentials_exception
    return teacher


@app.get("/students", response_model=Page)
@limiter.limit(f"{os.environ['LIMIT']}/minute")
def read_students(
    request: Request,  # noqa: ARG001  # slowapi looks for it
    teacher: Annotated[Teacher, Depends(get_current_teacher)],
    db: Annotated[Session, Depends(get_db)],
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=100)] = 10,
) -> dict[str, Sequence[Student]]:
    own_class = Student.classroom.has(Classroom.teacher_id == teacher.id)
    query = select(Student).where(own_class).order_by(Student.id).offset(offset).limit(limit)
    return {"items": db.scalars(query).all()}
