"""Finds the application: `module:attribute`, in the current directory first."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path

from sqlalchemy.exc import ArgumentError, InvalidRequestError

from vallum.declare.app import API
from vallum.serve.errors import SettingsError


def load_api(target: str | None) -> API:
    """Import the application.

    Raises:
        SettingsError: `app-missing` (none named), `app-import` (no such module), `app-attribute` (no API there),
            `app-models` (SQLAlchemy refuses what it declares).
        Exception: what the application itself raises while it is imported.
    """
    if target is None:
        raise SettingsError(
            "app-missing", "app", "Name it: `vallum … --app module:attribute`, or `app` in vallum.toml."
        )
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    module, _, attribute = target.partition(":")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # an import inside the application
        raise SettingsError("app-import", f"app: {target}", f"There is no module {module} in {here}.") from None
    except (ArgumentError, InvalidRequestError) as error:
        raise SettingsError("app-models", _line_of(error, here), f"SQLAlchemy says: {error.args[0]}") from error
    for name in attribute.split("."):
        found = getattr(found, name, None)  # type: ignore[assignment]
    if not isinstance(found, API):
        known = [name for name, value in vars(sys.modules[module]).items() if isinstance(value, API)]
        mend = f"{attribute} is no vallum.API; in {module} there is {', '.join(known) or 'none'}."
        raise SettingsError("app-attribute", f"app: {target}", mend)
    return found


def _line_of(error: Exception, here: str) -> str:
    """The last line of the application's own that led to an error."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(here)]
    found = [frame for frame in own if "site-packages" not in frame.filename]
    return f"{found[-1].filename}:{found[-1].lineno}" if found else "app"
