"""The decoder key register and key change sets (IEC 62055-41 6.5.2, 7.3.7 to 7.3.10).

A meter never has a vending key; nothing here derives keys.
"""

from .results import SECTION, TokenResult

DITK, DDTK, DUTK, DCTK = 0, 1, 2, 3

# Parent key type → children it may be changed to. DCTK belongs to magnetic cards (TCT 01), which
# this meter does not read, so no change leads to it.
_CHILDREN = {DITK: (DITK, DDTK, DUTK), DDTK: (DDTK, DUTK), DUTK: (DUTK, DDTK), DCTK: (DDTK,)}


def key_octets(ea):
    """Return the length of a decoder key for an encryption algorithm, 7 or 11."""
    return 8 if ea == 7 else 16


def cipher(ea, key, sample=False):
    """Return the function that decrypts a block of 8 octets under `key`, its expanded key kept.

    `sample` takes the sample tables of EA07. Raise ValueError for a wrong EA or key length. Only
    the algorithm in use is loaded: the other's tables would cost a small chip some 4 KB of heap.
    """
    if ea not in (7, 11):
        raise ValueError("EA must be 7 or 11, not %s" % ea)
    if len(key) != key_octets(ea):
        raise ValueError(
            "a key for EA%02d has %d octets, this has %d" % (ea, key_octets(ea), len(key))
        )
    if ea == 7:
        from . import ea07

        tables = ea07.SAMPLE if sample else ea07.CERTIFIED
        return lambda block: ea07.decrypt(key, block, tables)
    from . import ea11

    expanded = ea11.schedule(key)
    return lambda block: ea11.decrypt_expanded(expanded, block)


class KeyChange:
    """Sections of a key change set as they come in; nothing changes until the set is whole."""

    def __init__(self, ea, kct, ordered=False, window_s=None):
        """Prepare for sets of an algorithm.

        `kct`: key change tokens the meter supports (2 or 3 under EA07, 4 under EA11); `ordered`:
        sections must come first to last; `window_s`: seconds from the first section to the last.
        """
        self._ea = ea
        self._kct = kct
        self._ordered = ordered
        self._window_s = window_s
        self.forget()

    def forget(self):
        """Drop what has come in."""
        self.sections = {}
        self._since = 0

    def deadline(self):
        """Return when an incomplete set is forgotten, or None."""
        if self.sections and self._window_s is not None:
            return self._since + self._window_s
        return None

    def shift(self, seconds):
        """Follow a clock that was set forward by `seconds` (negative: back)."""
        self._since += seconds

    def process(self, now):
        """Forget an incomplete set whose window has passed; tell whether it was forgotten."""
        deadline = self.deadline()
        if deadline is not None and now > deadline:
            self.forget()
            return True
        return False

    def needed(self):
        """Return the numbers of the sections that make the set whole, as far as is known yet."""
        if self._ea == 11:
            return (1, 2, 3, 4)
        first = self.sections.get(1)
        if self._kct >= 3 and (first["kct3"] if first else 3 in self.sections):
            return (1, 2, 3)
        return (1, 2)

    def missing(self):
        """Return the numbers of the sections still to come."""
        return [n for n in self.needed() if n not in self.sections]

    def accepts(self, number):
        """Tell whether this meter knows such a section at all."""
        return number <= (4 if self._ea == 11 else 3 if self._kct >= 3 else 2)

    def add(self, number, fields, now):
        """Take section `number` (1 to 4), return its TokenResult; ACCEPT: the set is whole.

        A section entered again replaces the earlier one. RANGE for a KRN, TI or SGC that no key
        has, FORMAT for padding that is not zero. In an ordered set a section that comes too early
        is NOT_READY and is not kept.
        """
        if fields.get("pad"):
            return TokenResult.FORMAT
        if _out_of_range(number, fields, self._ea):
            return TokenResult.RANGE
        if self._ordered:
            for earlier in self.needed():
                if earlier < number and earlier not in self.sections:
                    return TokenResult.NOT_READY
        if not self.sections:
            self._since = now
        sections = dict(self.sections)  # replaced, so that a snapshot keeps the earlier one
        sections[number] = fields
        self.sections = sections
        return SECTION[number - 1] if self.missing() else TokenResult.ACCEPT

    def combine(self, parent_kt):
        """Return the new key as a dictionary, or the TokenResult that refuses the set.

        It has `key`, `krn`, `kt`, `ti`, `ken`, `ro` and `sgc` (None if that was not transferred).
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
            sgc = 0  # a meter of two tokens cannot know the new SGC (IEC 62055-41 7.3.7)
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
