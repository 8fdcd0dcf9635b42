"""Enters tokens into a separate meter with its record in RAM, on a virtual board."""

import json

from jeton.console import Console
from jeton.meter import Meter
from jeton.sts import keys
from jeton.sts.decoder import decode
from jeton_main import clock  # type: ignore[import-not-found]

from .spare import Memory, profile

_SECTIONS = (3, 4, 8, 9)  # subclasses of class 2


class KeyIn:
    """A meter that can be set up again for each set of tokens."""

    def __init__(self):
        meter = Meter(Memory(), profile)
        meter.start()
        clock.rate = 0
        self._core = meter
        self._meter = Console(meter, clock, dict)

    def begin(self, request):
        """Set the meter up and print the answer."""
        print(self._meter.rpc(request))
        self._status = self._meter.rpc('["status"]')
        self._seen = {}
        self._note()

    def key(self, rows):
        """Enter tokens, (request, waits, required) each; print the answer and then the status.

        If `waits`, and the meter is locked out after wrong tokens, advance its clock to the end of
        the lock and retry. A token with a `required` parameter that the meter neither has nor had
        is not entered; the answer is then {"other": {name: the present value}}.
        """
        meter = self._meter
        for request, waits, required in rows:
            other = self._other(required)
            if other and not self._is_section(request):
                print(json.dumps({"other": other}))
                print(self._status)
                continue
            answer = meter.rpc(request)
            if waits and '"LockOut"' in answer:
                status = json.loads(meter.rpc('["status"]'))["ok"]
                meter.rpc('["advance",%d]' % (status["lock_until"] - status["clock"]))
                answer = meter.rpc(request)
            print(answer)
            self._status = meter.rpc('["status"]')
            print(self._status)
            if '"Accept"' in answer and '"ok"' in answer:
                self._see(answer)

    def _note(self):
        """Remember the parameters that the meter has now."""
        for name, value in (json.loads(self._status).get("ok") or {}).items():
            self._seen.setdefault(name, []).append(value)

    def _other(self, required):
        """Return those of the required parameters that the meter neither has nor had."""
        other = {}
        for name in required:
            seen = self._seen[name]
            # A key change does not always contain the SGC, and never the base date.
            known = len(seen) == 1 or name not in ("sgc", "bdt")
            if known and required[name] not in seen:
                other[name] = seen[-1]
        return other

    def _is_section(self, request):
        """Return whether a token is a section of a key change, labelled with the new key."""
        state = self._core.state
        key = state.decoder_key[: keys.key_bytes(state.ea)]
        cipher = keys.cipher(state.ea, key, bool(state.sample_tables))
        _, token, _ = decode(json.loads(request)[1], cipher, state.ea, state.mfr_code)
        return bool(token) and token.cls == 2 and token.sub in _SECTIONS

    def _see(self, answer):
        """Follow a key change."""
        entered = json.loads(answer)["ok"]
        if entered["class"] == 2 and entered["subclass"] in _SECTIONS:
            self._note()
