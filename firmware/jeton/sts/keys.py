"""The decoder key register and key change sets (IEC 62055-41 6.5.2, 7.3.7 to 7.3.10).

A meter never has a vending key: this module derives no keys.
"""

from .results import SECTION, TokenResult

DITK, DDTK, DUTK, DCTK = 0, 1, 2, 3

# Parent key type → key types that a key change may lead to. DCTK is for magnetic cards (TCT 01),
# which this meter does not read, so no change leads to it.
_CHILDREN = {DITK: (DITK, DDTK, DUTK), DDTK: (DDTK, DUTK), DUTK: (DUTK, DDTK), DCTK: (DDTK,)}


def key_bytes(ea):
    """Return the length in bytes of a decoder key for an encryption algorithm, 7 or 11."""
    return 8 if ea == 7 else 16


def cipher(ea, key, sample=False):
    """Return the function that decrypts a block of 8 bytes under `key`; it holds the expanded key.

    `sample` selects the sample tables of EA07. Raise ValueError for a wrong EA or key length. Only
    the algorithm in use is loaded: the tables of the other would take about 4 KB of heap on a
    small chip.
    """
    if ea not in (7, 11):
        raise ValueError("EA must be 7 or 11, not %s" % ea)
    if len(key) != key_bytes(ea):
        raise ValueError(
            "a key for EA%02d has %d bytes, this has %d" % (ea, key_bytes(ea), len(key))
        )
    if ea == 7:
        from . import ea07

        tables = ea07.SAMPLE if sample else ea07.CERTIFIED
        return lambda block: ea07.decrypt(key, block, tables)
    from . import ea11

    expanded = ea11.schedule(key)
    return lambda block: ea11.decrypt_expanded(expanded, block)


class KeyChange:
    """The sections of a key change set received so far; an incomplete set changes nothing."""

    def __init__(self, ea, kct, ordered=False, window_s=None):
        """Prepare for the key change sets of an encryption algorithm.

        `kct`: key change tokens that the meter supports (2 or 3 under EA07, 4 under EA11);
        `ordered`: sections must arrive in ascending order; `window_s`: longest time from the first
        section, or from a section entered again, to the last.
        """
        self._ea = ea
        self._kct = kct
        self._ordered = ordered
        self._window_s = window_s
        self.forget()

    def forget(self):
        """Drop all sections received so far."""
        self.sections = {}
        self._since = 0

    def deadline(self):
        """Return the time after which an incomplete set is dropped, or None."""
        if self.sections and self._window_s is not None:
            return self._since + self._window_s
        return None

    def shift(self, seconds):
        """Adjust to a clock that was set forward by `seconds` (negative: back)."""
        self._since += seconds

    def process(self, now):
        """Drop an incomplete set whose window has passed; return whether it was dropped."""
        deadline = self.deadline()
        if deadline is not None and now > deadline:
            self.forget()
            return True
        return False

    def needed(self):
        """Return the numbers of the sections of a complete set, as far as known so far."""
        if self._ea == 11:
            return (1, 2, 3, 4)
        first = self.sections.get(1)
        if self._kct >= 3 and (first["kct3"] if first else 3 in self.sections):
            return (1, 2, 3)
        return (1, 2)

    def missing(self):
        """Return the numbers of the sections not received yet."""
        return [n for n in self.needed() if n not in self.sections]

    def accepts(self, number):
        """Return whether this meter supports the section with this number."""
        return number <= (4 if self._ea == 11 else 3 if self._kct >= 3 else 2)

    def add(self, number, fields, now):
        """Add section `number` (1 to 4); return its TokenResult; ACCEPT: the set is complete.

        A section entered again replaces the earlier one and restarts the window. RANGE for a KRN,
        TI or SGC outside its range, FORMAT for padding that is not zero. In an ordered set, a
        section that arrives too early is NOT_READY and is not stored.
        """
        if fields.get("pad"):
            return TokenResult.FORMAT
        if _out_of_range(number, fields, self._ea):
            return TokenResult.RANGE
        if self._ordered:
            for earlier in self.needed():
                if earlier < number and earlier not in self.sections:
                    return TokenResult.NOT_READY
        if not self.sections or number in self.sections:
            self._since = now
        sections = dict(self.sections)  # a new dictionary: a snapshot may hold the old one
        sections[number] = fields
        self.sections = sections
        return SECTION[number - 1] if self.missing() else TokenResult.ACCEPT

    def combine(self, parent_kt):
        """Return the new key as a dictionary, or the TokenResult that refuses the set.

        Its keys: `key`, `krn`, `kt`, `ti`, `ken`, `ro` and `sgc` (None if it was not transferred).
        """
        first, second = self.sections[1], self.sections[2]
        if first["kt"] not in _CHILDREN[parent_kt]:
            return TokenResult.KEY_TYPE
        sgc = None
        middle = b""
        if self._ea == 11:
            third, fourth = self.sections[3], self.sections[4]
            sgc = fourth["sgcho"] << 12 | third["sgclo"]
            middle = third["nkmo2"].to_bytes(4, "big") + fourth["nkmo1"].to_bytes(4, "big")
        elif 3 in self.needed():
            sgc = self.sections[3]["sgc"]
        elif self._kct == 2:
            sgc = 0  # a set of two tokens does not transfer the SGC (IEC 62055-41 7.3.7)
        if sgc is not None and sgc > 999999:
            return TokenResult.RANGE
        return {
            "key": first["nkho"].to_bytes(4, "big") + middle + second["nklo"].to_bytes(4, "big"),
            "krn": first["krn"],
            "kt": first["kt"],
            "ti": second["ti"],
            "ken": first["kenho"] << 4 | second["kenlo"],
            "ro": first["ro"],
            "sgc": sgc,
        }


def _out_of_range(number, fields, ea):
    if number == 1:
        return not 1 <= fields["krn"] <= 9
    if number == 2:
        return fields["ti"] > 99
    return number == 3 and ea == 7 and fields["sgc"] > 999999
