"""The clock of the host tools: this computer's clock plus $JETON_CLOCK_OFFSET seconds.

Points of sale date tokens by this clock, and a new meter's clock starts at it. With an offset, a
rehearsal or a test runs at another date and this computer's clock stays unchanged.
"""

import os
from datetime import UTC, datetime, timedelta

from jeton_host.errors import JetonError

OFFSET_VARIABLE = "JETON_CLOCK_OFFSET"


def now() -> datetime:
    """Return the current time in UTC.

    Raises:
        JetonError: $JETON_CLOCK_OFFSET is not a whole number, or leads out of the years 1 to 9999.
    """
    text = os.environ.get(OFFSET_VARIABLE)
    if not text:
        return datetime.now(UTC)
    try:
        return datetime.now(UTC) + timedelta(seconds=int(text))
    except (ValueError, OverflowError):
        raise JetonError(
            f"${OFFSET_VARIABLE} is {text!r}: give a whole number of seconds, such as -86400"
        ) from None
