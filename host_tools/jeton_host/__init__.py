"""Host side of Jeton, a virtual STS prepayment meter: its client and its point of sale.

The names in `__all__` are the public interface. Each name is imported at its first use.
"""

from importlib import import_module
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jeton_host.bench.virtual_adapter import VirtualAdapter
    from jeton_host.client.answers import (
        Display,
        Emergency,
        EnterResult,
        Event,
        FlashCounts,
        History,
        Info,
        Led,
        Ledger,
        PressResult,
        Seen,
        Snapshot,
        Status,
        TokenResult,
    )
    from jeton_host.client.pins import Wires
    from jeton_host.errors import (
        BoardError,
        BrokenOffError,
        BusyError,
        ClosedError,
        JetonError,
        NeverCameError,
        NotBegunError,
        OutOfOrderError,
        PortError,
        PortUnavailableError,
        ProfileError,
        UnusableError,
        VendingError,
        WrongTypeError,
        WrongValueError,
    )
    from jeton_host.meter import Meter
    from jeton_host.meters.named import make_config
    from jeton_host.vending.explain import Explanation, explain
    from jeton_host.vending.guesses import Receipt
    from jeton_host.vending.keys import VendingKeys, load_keys
    from jeton_host.vending.pos import PointOfSale
    from jeton_host.vending.records import Issued, MeterKey, MeterRecord
    from jeton_host.vending.service.server import VendServer
    from jeton_host.virtual.board import VirtualBoard

    __version__: str

__all__ = [
    "BoardError",
    "BrokenOffError",
    "BusyError",
    "ClosedError",
    "Display",
    "Emergency",
    "EnterResult",
    "Event",
    "Explanation",
    "FlashCounts",
    "History",
    "Info",
    "Issued",
    "JetonError",
    "Led",
    "Ledger",
    "Meter",
    "MeterKey",
    "MeterRecord",
    "NeverCameError",
    "NotBegunError",
    "OutOfOrderError",
    "PointOfSale",
    "PortError",
    "PortUnavailableError",
    "PressResult",
    "ProfileError",
    "Receipt",
    "Seen",
    "Snapshot",
    "Status",
    "TokenResult",
    "UnusableError",
    "VendServer",
    "VendingError",
    "VendingKeys",
    "VirtualAdapter",
    "VirtualBoard",
    "Wires",
    "WrongTypeError",
    "WrongValueError",
    "__version__",
    "explain",
    "load_keys",
    "make_config",
]

if PathFinder.find_spec("fastapi") is None:  # the extra `server` is not installed
    __all__.remove("VendServer")

_PLACES = {
    "bench.virtual_adapter": ("VirtualAdapter",),
    "client.answers": (
        "Display",
        "Emergency",
        "EnterResult",
        "Event",
        "FlashCounts",
        "History",
        "Info",
        "Led",
        "Ledger",
        "PressResult",
        "Seen",
        "Snapshot",
        "Status",
        "TokenResult",
    ),
    "client.pins": ("Wires",),
    "errors": (
        "BoardError",
        "BrokenOffError",
        "BusyError",
        "ClosedError",
        "JetonError",
        "NeverCameError",
        "NotBegunError",
        "OutOfOrderError",
        "PortError",
        "PortUnavailableError",
        "ProfileError",
        "UnusableError",
        "VendingError",
        "WrongTypeError",
        "WrongValueError",
    ),
    "meter": ("Meter",),
    "meters.named": ("make_config",),
    "vending.explain": ("Explanation", "explain"),
    "vending.guesses": ("Receipt",),
    "vending.keys": ("VendingKeys", "load_keys"),
    "vending.pos": ("PointOfSale",),
    "vending.records": ("Issued", "MeterKey", "MeterRecord"),
    "vending.service.server": ("VendServer",),
    "virtual.board": ("VirtualBoard",),
}


def __getattr__(name: str) -> Any:
    """Import and return a public name at its first use."""
    if name == "__version__":
        return _version()
    for place, names in _PLACES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(f"jeton_host.{place}"), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("jeton-meter")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "0"
