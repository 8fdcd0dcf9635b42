"""Keys tokens into a meter of its own, whose record is in RAM, on a virtual board."""

import json

from jeton.console import Console
from jeton.meter import Meter
from jeton_main import clock  # type: ignore[import-not-found]

from .spare import Memory, profile


class KeyIn:
    """One meter after another: each is set up in the place of the one before."""

    def __init__(self):
        meter = Meter(Memory(), profile)
        meter.start()
        clock.rate = 0
        self._meter = Console(meter, clock, dict)

    def begin(self, request):
        """Set the meter up and print the answer."""
        print(self._meter.rpc(request))

    def key(self, rows):
        """Key in tokens, (request, waits) each; print the answer and then the status of each.

        A meter that is locked out after wrong tokens is waited for on its own clock, if `waits`.
        """
        meter = self._meter
        for request, waits in rows:
            said = meter.rpc(request)
            if waits and '"LockOut"' in said:
                status = json.loads(meter.rpc('["status"]'))["ok"]
                meter.rpc('["advance",%d]' % (status["lock_until"] - status["clock"]))
                said = meter.rpc(request)
            print(said)
            print(meter.rpc('["status"]'))
