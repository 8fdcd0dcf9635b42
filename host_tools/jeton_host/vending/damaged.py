"""What a spreadsheet or a program has done to a token or a meter number, and which one it was.

One function for each, for all places that accept tokens or meter numbers.
"""

from jeton.sts import digits
from jeton_host import token_text
from jeton_host.vending.pan import with_zeros
from jeton_host.vending.pos import PointOfSale
from jeton_host.vending.records import MeterRecord

_SHOWN = 3  # tokens or meters that are named


def token(text: str, pos: PointOfSale) -> tuple[str, bool]:
    """Return what happened to a refused token and which token it may be, and whether it is sure.

    The text is empty if nothing happened. It begins with `token_text.Damage.what`. It is not sure
    if the text can be a whole token and the point of sale issued none that is similar.
    """
    found = token_text.damage(text)
    if found is None:
        return "", False
    limits = [f"{number:020d}" for number in (max(0, found.low), found.high)]
    issued = pos.issued_between(limits[0], limits[1], _SHOWN + 1)
    said = found.what
    if not issued:
        if found.low == found.high:
            said += f"; it may be {digits.grouped(limits[0])}"
    elif len(issued) > _SHOWN:
        said += "; the point of sale issued several tokens that begin so"
    else:
        names = [f"{entry.grouped} for meter {entry.meter}" for entry in issued]
        said += f"; the point of sale issued {' and '.join(names)}"
        if found.low < found.high:
            same = max(_same(issued[0].token, limit) for limit in limits)
            said += f", with the same first {same} digits"
    return said, found.certain or bool(issued)


def meter_number(text: str, meters: list[MeterRecord]) -> str:
    """Return what happened to a meter number and which one it may be; empty if nothing did."""
    plain = digits.clean(text)
    whole = with_zeros(plain) if digits.is_digits(plain) else ""
    if whole:
        known = next((meter for meter in meters if whole in (meter.drn, meter.pan)), None)
        return (
            f"meter number {plain} has {len(plain)} digits: a spreadsheet or a program may have "
            f"removed leading zeros; it may be {whole}"
            + (f", meter {known.name} of the point of sale" if known else "")
        )
    found = token_text.damage(text, 18)
    if found is None or (found.low == found.high and len(plain) in (11, 13)):
        return ""
    near = [m for m in meters if any(found.low <= int(n) <= found.high for n in (m.drn, m.pan))]
    names = [f"{meter.drn} ({meter.name})" for meter in near[:_SHOWN]]
    which = f"; the point of sale has {' and '.join(names)}" if names else ""
    return f"meter number {text.strip()[:40]}: {found.what}{which}"


def _same(one: str, other: str) -> int:
    """Return how many of the first digits are the same."""
    return next((at for at in range(len(one)) if one[at] != other[at]), len(one))
