"""Where things are: the firmware and boards that ship, and the user's own meters and caches."""

import os
from pathlib import Path

import platformdirs

_HERE = Path(__file__).resolve().parent
_PACKAGED = _HERE / "_data"
# In an installed wheel the data lies inside the package, in a checkout beside it.
_ROOT = _PACKAGED if _PACKAGED.is_dir() else _HERE.parent


def firmware_dir() -> Path:
    """Return the folder with main.py, jeton/, drivers/ and profiles/."""
    return _ROOT / "firmware"


def boards_dir() -> Path:
    """Return the folder with one folder a board."""
    return _ROOT / "boards"


def profiles_dir() -> Path:
    """Return the folder with the profiles that ship."""
    return firmware_dir() / "profiles"


def data_home() -> Path:
    """Return the folder of meters and points of sale ($JETON_HOME or the user's data folder)."""
    home = os.environ.get("JETON_HOME")
    return Path(home).expanduser() if home else Path(platformdirs.user_data_dir("jeton"))


def cache_home() -> Path:
    """Return the folder of compiled firmware and prepared flash images; safe to delete."""
    home = os.environ.get("JETON_HOME")
    return (
        Path(home).expanduser() / "cache" if home else Path(platformdirs.user_cache_dir("jeton"))
    )
