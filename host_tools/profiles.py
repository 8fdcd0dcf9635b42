"""The profiles that ship, as the host reads them."""

import json
from typing import Any

from host_tools.errors import ProfileError
from host_tools.paths import profiles_dir
from jeton import profile as rules


def names() -> list[str]:
    """Return the names of the profiles there are."""
    return sorted(path.stem for path in profiles_dir().glob("*.json"))


def load(name: str) -> dict[str, Any]:
    """Return a profile, checked; ProfileError where there is none or it is not whole."""
    if name not in names():
        raise ProfileError(f"there is no profile {name!r}; there are: {', '.join(names())}")
    try:
        data: dict[str, Any] = json.loads((profiles_dir() / f"{name}.json").read_bytes())
        rules.check(data)
    except ValueError as error:
        raise ProfileError(f"profile {name}: {error}") from None
    return data
