"""Finds the application: `module:attribute`, in the current directory first."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from vallum.declare.app import API
from vallum.serve.errors import SettingsError


def load_api(target: str | None) -> API:
    """Import the application.

    Raises:
        SettingsError: `app-missing` (none named), `app-import` (no such module), `app-attribute` (no API there).
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
    for name in attribute.split("."):
        found = getattr(found, name, None)  # type: ignore[assignment]
    if not isinstance(found, API):
        raise SettingsError("app-attribute", f"app: {target}", f"{attribute} is no vallum.API.")
    return found
