"""The way out of a refusal: what to issue and to enter so that the meter accepts tokens again."""

from collections.abc import Mapping
from typing import Any

from jeton_host.errors import JetonError
from jeton_host.firmware import profiles
from jeton_host.vending.pos import PointOfSale
from jeton_host.vending.records import MeterRecord


def way_out(pos: PointOfSale, name: str | None, cause: str, status: Mapping[str, Any]) -> str:
    """Return the way out in one sentence, "" if there is nothing to do but what is said already.

    `cause`: that of the explanation; `status`: that of the live meter, or empty.
    """
    if name is None:
        return ""
    meter = pos.meter(name)
    vend = f"jeton vend {name}"
    if cause == "expired":
        return f"The way out: a key change to a key that has not expired, `{vend} key-change`."
    if cause == "ddtk":
        return f"The way out: a key change to a key for credit, `{vend} key-change --kt 2`."
    krn = status.get("krn")
    if krn is None:
        return ""
    if all(key.krn != krn for key in pos.keys_of(name)):
        if cause not in ("key", "unknown"):
            return ""
        return (
            "The way out: if another system changed the key of this meter, note it with "
            f"`{vend} entered --krn {krn}`."
        )
    under = "" if krn == meter.key.krn and not meter.pending else f" --krn {krn}"
    clear = f"`{vend} clear-tamper{under}`"
    if cause == "tamper":
        return f"The way out: {clear}; enter that token, then this one again."
    if cause == "next-key":
        if status.get("tamper") and _refuses_while_tampered(meter, status):
            return (
                "The meter was tampered with and accepts no key change: the way out begins with "
                f"{clear}."
            )
        if under:
            return f"For the key that the meter still has, `{vend} …{under}` issues tokens."
    return ""


def _refuses_while_tampered(meter: MeterRecord, status: Mapping[str, Any]) -> bool:
    try:
        profile = profiles.load(status.get("profile") or meter.profile)
    except JetonError:  # the meter's profile is not installed here
        return False
    return bool(profile["supply"]["tamper_takes"] != "all")
