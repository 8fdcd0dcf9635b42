"""Enters tokens into a separate meter with its record in RAM, on a virtual board."""

import json

from jeton.console import Console
from jeton.meter import Meter
from jeton_main import clock  # type: ignore[import-not-found]

from .spare import Memory, profile


class KeyIn:
    """A meter that can be set up again for each set of tokens."""

    def __init__(self):
        meter = Meter(Memory(), profile)
        meter.start()
        clock.rate = 0
        self._meter = Console(meter, clock, dict)

    def begin(self, request):
        """Set the meter up and print the answer."""
        print(self._meter.rpc(request))

    def key(self, rows):
        """Enter tokens, (request, waits) each; print the answer and then the status of each.

        If `waits`, and the meter is locked out after wrong tokens, advance its clock to the end of
        the lock and retry.
        """
        meter = self._meter
        for request, waits in rows:
            answer = meter.rpc(request)
            if waits and '"LockOut"' in answer:
                status = json.loads(meter.rpc('["status"]'))["ok"]
                meter.rpc('["advance",%d]' % (status["lock_until"] - status["clock"]))
                answer = meter.rpc(request)
            print(answer)
            print(meter.rpc('["status"]'))
