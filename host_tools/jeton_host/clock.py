"""The time of the host tools: that of this computer, shifted by $JETON_CLOCK_OFFSET seconds.

Points of sale issue by it, and new meters start at it. With an offset, a rehearsal or a test runs
at another date without a change of this computer's clock.
"""

import os
from datetime import UTC, datetime, timedelta

from jeton_host.errors import JetonError

OFFSET_VARIABLE = "JETON_CLOCK_OFFSET"


def now() -> datetime:
    """Return the time in UTC; JetonError for an offset that no clock can have."""
    text = os.environ.get(OFFSET_VARIABLE)
    if not text:
        return datetime.now(UTC)
    try:
        return datetime.now(UTC) + timedelta(seconds=int(text))
    except (ValueError, OverflowError):
        raise JetonError(
            f"${OFFSET_VARIABLE} is {text!r}: give a whole number of seconds, such as -86400"
        ) from None
