"""Host side of Jeton: the virtual board, the client, the point of sale and the command `jeton`."""


def __getattr__(name: str) -> str:
    """Return `__version__`; looked up when it is wanted, because that takes a while."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("jeton-meter")
    except PackageNotFoundError:  # run from a tree that was never installed
        return "0"
