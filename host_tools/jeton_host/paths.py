"""Paths of the firmware and boards that ship with Jeton, and of the user's meters and caches."""

import os
from pathlib import Path

import platformdirs

from jeton_host.errors import JetonError

_HERE = Path(__file__).resolve().parent
_PACKAGED = _HERE / "_data"
# In an installed wheel the data is inside the package, in a checkout beside it.
_ROOT = _PACKAGED if _PACKAGED.is_dir() else _HERE.parent.parent


def firmware_dir() -> Path:
    """Return the folder with main.py, jeton/, drivers/, remote/ and profiles/."""
    return _ROOT / "firmware"


def boards_dir() -> Path:
    """Return the folder that contains one folder per board."""
    return _ROOT / "boards"


def profiles_dir() -> Path:
    """Return the folder with the profiles that ship with Jeton."""
    return firmware_dir() / "profiles"


def vectors_dir() -> Path:
    """Return the folder with the published test vectors and their sources."""
    return _ROOT / ("vectors" if _PACKAGED.is_dir() else "tests/vectors")


def docs_dir() -> Path:
    """Return the folder of the documents. JetonError outside a clone: a wheel has no documents."""
    folder = _ROOT / "docs"
    if not folder.is_dir():
        raise JetonError(f"there is no folder {folder}: pictures and tables are made in a clone")
    return folder


def data_home() -> Path:
    """Return the folder of meters and points of sale: $JETON_HOME or the user's data folder."""
    home = os.environ.get("JETON_HOME")
    if not home:
        return Path(platformdirs.user_data_dir("jeton"))
    folder = _expanded(home)
    if not home.isprintable():
        raise JetonError(f"$JETON_HOME is {home!r}: give a folder name of printable characters")
    if folder.exists() and not folder.is_dir():
        raise JetonError(f"$JETON_HOME is {home}, which is not a folder")
    return folder


def _expanded(home: str) -> Path:
    try:
        return Path(home).expanduser()
    except RuntimeError:
        raise JetonError(f"$JETON_HOME is {home}: there is no such user") from None


def check_writable(path: Path) -> None:
    """Raise JetonError if no file can be written at `path`.

    Call this before long work whose result is written there.
    """
    try:
        where = path.resolve()
    except (OSError, RuntimeError) as error:
        raise JetonError(f"{path} cannot be written: {error}") from None
    if where.is_dir():
        raise JetonError(f"{path} cannot be written: it is a folder")
    if not where.parent.is_dir():
        raise JetonError(f"{path} cannot be written: there is no folder {path.parent}")
    if not os.access(path if path.exists() else where.parent, os.W_OK):
        raise JetonError(f"{path} cannot be written: permission denied")


def cache_home() -> Path:
    """Return the folder of compiled firmware and prepared flash images; it is safe to delete."""
    home = os.environ.get("JETON_HOME")
    return _expanded(home) / "cache" if home else Path(platformdirs.user_cache_dir("jeton"))
