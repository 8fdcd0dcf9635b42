"""Tests of saving: the record, ticks, the copy, records of an older firmware."""

import struct
from binascii import crc32

from both_support import T0, again, credit, new_meter, raises, text, token
from jeton import reading
from jeton import state as states
from jeton.sts.results import TokenResult as R
from jeton.supply import REASONS


def test_a_tick_applies_only_to_its_own_record():
    meter, store = new_meter(credit_wh=100_000)
    meter.set_load(3600, T0)
    meter.process(T0 + 50)
    first = store.record, store.tick
    assert len(store.tick) == states.TICK_BYTES <= 128
    found = reading.unpack(*first)
    assert (found.credit_wh, found.total_wh, found.clock) == (99_950, 50, T0 + 50)
    assert reading.unpack(first[0]).credit_wh == 100_000
    for at in range(len(first[1])):
        torn = bytearray(first[1])
        torn[at] ^= 16
        assert reading.unpack(first[0], torn).credit_wh == 100_000
        assert reading.unpack(first[0], torn[:at]).credit_wh == 100_000
    meter.enter(credit(2000), T0 + 50)
    assert reading.unpack(store.record, store.tick).credit_wh == 109_950
    # Another record with the same epoch has another CRC, so the tick does not apply to it.
    _, second = new_meter(credit_wh=500)
    assert second.record[10:14] == first[0][10:14]
    assert reading.unpack(second.record, first[1]).credit_wh == 500


def test_an_unchanged_record_is_not_written_again():
    meter, store = new_meter(credit_wh=100_000)
    meter.save(T0)
    assert (store.saves, store.ticks) == (1, 0)
    meter.save(T0 + 1)
    meter.save(T0 + 1)
    assert (store.saves, store.ticks) == (1, 1)
    # The comparison uses the data on the store, not a memory of what was written.
    store.record = store.record[:-1] + b"x"
    saves = store.saves
    meter.save(T0 + 1)
    assert (store.saves, store.ticks) == (saves + 1, 1)


def live(meter, at, seconds, step_s=1):
    """Let a meter live for some seconds as a board does: it processes the time often."""
    for now in range(at, at + seconds + 1, step_s):
        meter.process(now)
    return at + seconds


def test_the_clock_is_saved_without_consumption():
    meter, store = new_meter(profile="ceet")
    ticks = store.ticks
    now = live(meter, T0, 86400, 30)
    assert 86400 // 600 - 2 <= store.ticks - ticks <= 86400 // 600 + 2
    assert reading.unpack(store.record, store.tick).clock > now - 600
    # A meter that is not set up writes nothing.
    bare = new_meter()[0]
    bare.state.provisioned = 0
    saves = bare._storage.saves, bare._storage.ticks
    live(bare, T0, 7200, 30)
    assert (bare._storage.saves, bare._storage.ticks) == saves


def test_frequent_power_cuts_without_load_do_not_stop_the_clock():
    """A grid that fails each quarter of an hour: at most ten minutes are lost each time."""
    meter, store = new_meter(profile="ceet")
    now = meter.state.clock
    for _ in range(24):
        live(meter, now, 900, 5)
        meter = again(store)
        assert meter.state.clock >= now + 600
        now = meter.state.clock
    assert now >= T0 + 24 * 600


def test_midnight_is_saved_at_once():
    meter, store = new_meter(clock=T0)
    midnight = (T0 // 86400 + 1) * 86400
    meter.process(midnight - 60)
    meter.save(midnight - 60)
    live(meter, midnight - 60, 70)
    found = reading.unpack(store.record, store.tick)
    assert found.clock >= midnight
    assert found.day == midnight // 86400


def test_a_wait_of_a_trip_goes_on_after_a_power_cut_without_load():
    changes = {"supply.limit_delay_s": 0, "supply.reconnect_s": 1800}
    meter, store = new_meter(changes=changes, credit_wh=100_000)
    meter.enter(token(2, 0, {"rnd": 1, "tid": 2000, "mpl": 100}), T0)
    meter.set_load(5000, T0)
    assert not meter.state.switch_closed
    meter.set_load(0, T0)
    wait = meter.state.reconnect_at - T0
    assert wait == 1800
    now = T0
    cuts = 0
    while meter.state.reconnect_at:
        # The supply is there for one minute at a time only.
        live(meter, now, 60)
        meter = again(store, changes)
        assert meter.state.clock > now + 29
        now = meter.state.clock
        cuts += 1
        assert cuts <= 2 * wait // 60 + 1
    assert now - T0 <= wait + 60


def test_a_lock_out_goes_on_after_a_power_cut_without_load():
    meter, store = new_meter(profile="landis_gyr")
    wrong = 0
    while not meter.state.lock_until:
        meter.enter("0000000000000000%04d" % wrong, T0)
        wrong += 1
    left = meter.state.lock_until - T0
    live(meter, T0, left - 61, 5)
    after = again(store)
    assert 60 < after.state.lock_until - after.state.clock <= 60 + 31


def test_a_save_follows_a_failed_one_in_full():
    # Without a lock-out, which would first save the count of the try, a token needs one save.
    meter, store = new_meter(profile="conlog", credit_wh=100_000)
    save = store.save

    def half(parts):
        save(parts)
        raise OSError(5)  # the data is written, but the meter gets an error

    store.save = half
    raises(OSError, meter.enter, credit(2000), T0)
    store.save = save
    assert reading.unpack(store.record).credit_wh == 110_000
    meter.set_load(3600, T0)
    meter.process(T0 + 20)
    assert again(store).state.credit_wh == meter.state.credit_wh == 99_980
    assert meter.enter(credit(2000), T0 + 20).result == R.ACCEPT


def test_the_newer_of_record_and_copy_is_used():
    meter, store = new_meter(credit_wh=500)
    first = store.record
    meter.enter(credit(2000), T0)
    second = store.record
    torn = second[:90] + b"??" + second[92:]
    for record, copy, credit_wh in (
        (second, second, 10_500),
        (second, first, 10_500),
        (first, second, 10_500),
        (None, second, 10_500),
        (torn, second, 10_500),
        (torn, first, 500),
        (second, torn, 10_500),
        (second, None, 10_500),
    ):
        store.set_aside()
        if record:
            store.record = record
        store.copy = copy
        meter = again(store)
        assert (meter.fault, meter.state.credit_wh) == ("", credit_wh)
        # The start has saved it with a newer epoch than record and copy.
        store.copy = second
        assert again(store).state.credit_wh == credit_wh or record == torn
    store.record, store.copy = torn, torn
    assert "checksum" in again(store).fault


def test_the_supply_stops_if_consumption_cannot_be_saved():
    meter, store = new_meter(credit_wh=100_000)
    meter.set_load(3600, T0)
    store.full = True
    meter.process(T0 + 20)
    meter.process(T0 + 3600)
    # Only the consumption before the failed save was lost.
    s = meter.state
    assert (s.total_wh, s.switch_closed, REASONS[s.switch_reason]) == (20, 0, "store")
    assert text(meter, T0 + 3600)[:2] == ["STORE FAULT", "is full"]
    assert meter.status(T0 + 3600)["fault"] == "the flash is full"
    raises(OSError, meter.enter, credit(2000), T0 + 3600)
    store.full = False
    meter.process(T0 + 4000)
    s = meter.state
    assert (s.total_wh, s.switch_closed, meter.status(T0 + 4000)["fault"]) == (20, 1, None)
    found = again(store).state
    assert (found.switch_closed, found.credit_wh, found.hold) == (1, 99_980, 0)
    assert meter.enter(credit(2000), T0 + 4000).result == R.ACCEPT


def test_never_cut_keeps_the_supply_on_without_a_store():
    meter, store = new_meter(changes={"credit.never_cut": True}, credit_wh=100_000)
    meter.set_load(3600, T0)
    store.full = True
    meter.process(T0 + 20)
    meter.process(T0 + 3600)
    assert (meter.state.total_wh, meter.state.switch_closed) == (3600, 1)
    store.full = False
    meter.process(T0 + 3601)
    assert again(store).state.total_wh == 3601


def test_a_start_saves_the_record_that_it_read():
    meter, store = new_meter(credit_wh=500)
    meter.state.power_fails = 0xFFFF
    meter.save(T0)
    again(store)
    before, saves = store.record, store.saves
    again(store)
    # The start saves an unchanged record again: a half-written cell could read differently later.
    assert store.saves == saves + 1
    assert store.record[states.TICK_START :] == before[states.TICK_START :]


def test_a_meter_of_the_first_release_keeps_key_credit_and_identifiers():
    meter, store = new_meter(credit_wh=5000, ken=200)
    for tid in (2000, 3000):
        meter.enter(credit(tid), T0 + tid)
    s = meter.state
    body = struct.pack(
        "<B13s16sBBBB16sBBBBIBBH150sqQHIIIHBBBBII",
        *(1, s.drn, b"generic", 2, 16, 7, 0, s.decoder_key, s.kt, s.krn, s.ti, s.ken, s.sgc),
        *(s.bdt, s.kct, 0, bytes(meter.tids.data), 25_000, 77, 12, 900, 4000, 0, 3, 0, 1, 1),
        *(1, T0 + 9, 102),
    )
    body += bytes([i % 251 for i in range(1200)])
    head = struct.pack("<4sHI", b"JTON", 1, crc32(body))
    for old in (head + body[:-1], head + b"\1" + body[1:-1] + b"\0"):
        raises(ValueError, reading.unpack, old)
    store.record, store.tick = head + body, None
    new = again(store)
    assert new.fault == ""
    state = new.state
    assert (state.credit_wh, state.total_wh, state.rest_ws, state.load_w) == (25_000, 77, 12, 900)
    assert (state.max_power_limit_w, state.tariff_rate, state.ken) == (4000, 3, 200)
    assert (state.initial_wh, state.charged_wh, state.clock) == (25_000, 0, T0 + 9)
    assert new.enter(credit(3000), T0 + 9).result == R.USED
    assert new.enter(credit(1500), T0 + 9).result == R.ACCEPT
    # Of 102 events the last 100 are kept; number 102 is in the second slot.
    slots = len(state.events) // 12
    newest = bytes(state.events[101 % slots * 12 : 101 % slots * 12 + 12])
    assert newest == body[-1200 + 12 : -1200 + 24]
    assert store.record[4] == states.VERSION
    assert again(store).state.credit_wh == 35_000
    raises(ValueError, reading.unpack, b"JTON\2\0" + bytes(20))
    raises(ValueError, reading.unpack, b"JTON\5\0" + bytes(20))


def test_a_record_of_version_3_is_read_with_its_tick():
    """It lacks the fields after the lock."""
    meter, store = new_meter(credit_wh=9000)
    meter.enter(credit(2000), T0)
    meter.set_load_steps([[0, 360], [9, 720]], T0)
    meter.process(T0 + 900)
    meter.save(T0 + 900)
    used_wh = meter.state.total_wh
    packed, tick = store.record, store.tick
    assert used_wh > reading.unpack(packed).total_wh  # the consumption is in the tick
    old = packed[: states.SIZE_3] + packed[states.SIZE :]
    _, _, _, epoch = struct.unpack_from(states.HEAD, packed)
    crc = crc32(old[states.TICK_START - 4 :])
    store.record = struct.pack(states.HEAD, states.MAGIC, 3, crc, epoch) + old[states.TICK_START :]
    store.tick = struct.pack("<I", crc32(tick[4:], crc)) + tick[4:]
    new = again(store)
    assert new.fault == ""
    assert new.state.total_wh == used_wh
    assert new.state.load_steps == meter.state.load_steps
    assert new.events()[:3] == meter.events()
    assert new.state.former_keys == bytes(states.FORMER_BYTES)
    assert store.record[4] == states.VERSION
    for which in (store.record[:-1], store.record[:50]):
        raises(ValueError, reading.unpack, which)


def test_a_record_without_a_time_zone_is_read():
    """Version 3 lacks the fields after the lock; its tick counts too."""
    meter, store = new_meter(credit_wh=100_000, zone_min=60)
    meter.set_load(3600, T0)
    meter.process(T0 + 50)
    meter.state.lock = bytes(range(1, 54))
    meter.save(T0 + 50)
    body = store.record[10 : states.SIZE_3] + store.record[states.SIZE :]
    crc = crc32(body)
    old = struct.pack("<4sHI", b"JTON", 3, crc) + body
    tick = bytearray(store.tick)
    tick[12:20] = struct.pack("<q", 77_000)
    tick[4:8] = old[10:14]
    tick[0:4] = struct.pack("<I", crc32(memoryview(tick)[4:], crc))
    found = reading.unpack(old, tick)
    assert (found.zone, found.lock) == (bytes(9), bytes(range(1, 54)))
    assert (found.credit_wh, found.clock, found.krn) == (77_000, T0 + 50, 1)
    assert bytes(found.events) == bytes(meter.state.events)
    raises(ValueError, reading.unpack, old[:-1])
    raises(ValueError, reading.unpack, old[:-1] + b"x")
    store.record, store.tick = old, bytes(tick)
    new = again(store)
    assert new.state.credit_wh == 77_000
    assert store.record[4] == states.VERSION
