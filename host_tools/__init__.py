"""Host side of Jeton: the virtual board, the client, the point of sale and the command `jeton`."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("jeton")
except PackageNotFoundError:  # run from a tree that was never installed
    __version__ = "0"
