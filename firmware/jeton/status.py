"""The status that a client reads: registers, attributes, states, ledger; never a key."""

from . import credit, supply
from .sts.results import NAMES
from .values import text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .meter import Meter
    from .state import State


def status(meter: "Meter", now):
    """Return registers, key attributes and states as a dictionary; never a key."""
    state = meter.state
    return {
        "clock": now,
        "provisioned": bool(state.provisioned),
        "fault": meter.fault or meter.store_error or None,
        "profile": meter.profile.name if meter.profile else None,
        "drn": text(state.drn),
        "ea": state.ea,
        "kct": state.kct,
        "krn": state.krn,
        "kt": state.kt,
        "ti": state.ti,
        "sgc": "%06d" % state.sgc,
        "ken": state.ken,
        "bdt": "%02d" % state.bdt if state.bdt else None,
        "credit_wh": state.credit_wh,
        "total_wh": state.total_wh,
        "emergency_debt_wh": state.emergency_debt_wh,
        "advance_debt_wh": state.advance_debt_wh,
        "low_credit": bool(state.warned & credit.LOW),
        "alarm": credit.alarm_sounds(state),
        "emergency": not meter.fault and credit.offered(state, meter.profile),
        "load_w": state.load_w,
        "load_steps": len(state.load_steps) // 8,
        "power_w": supply.power_w(state),
        "switch": "closed" if state.switch_closed else "open",
        "switch_reason": supply.REASONS[state.switch_reason],
        "trips": state.trips,
        "reconnect_at": state.reconnect_at or None,
        "lock_until": state.lock_until or None,
        "max_power_limit_w": state.max_power_limit_w,
        "phase_unbalance_limit_w": state.phase_unbalance_limit_w,
        "tariff_rate": state.tariff_rate,
        "tamper": bool(state.tamper),
        "result": state.result,
        "result_name": NAMES[state.result],
        "pending": sorted(meter.key_change.sections),
        "missing": meter.key_change.missing() if meter.key_change.sections else [],
        "tid_newest": meter.tids.newest,
        "tid_oldest": meter.tids.oldest,
        "timezone": zone_name(state),
        "utc_offset_s": credit.local(state, now) - now,
    }


def zone_name(state: "State"):
    """Return the time zone of a meter: "+01:00", with " DST" if it has a rule for summer time."""
    minutes = credit.standard_s(state.zone) // 60
    sign = "-" if minutes < 0 else "+"
    minutes = abs(minutes)
    dst = " DST" if state.zone[1] else ""
    return "%s%02d:%02d%s" % (sign, minutes // 60, minutes % 60, dst)


def led(meter: "Meter"):
    """Return the LED: pulses since the meter began, pulses a kWh, and whether it is lit."""
    state = meter.state
    per_kwh = meter.profile.supply_pulses_per_kwh
    used_ws = state.total_wh * credit.WS_PER_WH + state.rest_ws
    return {
        "pulses": used_ws * per_kwh // (1000 * credit.WS_PER_WH),
        "pulses_per_kwh": per_kwh,
        "supply": bool(state.switch_closed),
    }


def ledger(state: "State"):
    """Return the parts of the credit (the sum in `credit`) and the debts."""
    found = {name: getattr(state, name) for name in _LEDGER}
    # Energy that flowed while the register was at its minimum.
    found["uncharged_wh"] = state.total_wh - state.charged_wh
    return found


_LEDGER = (
    "initial_wh",
    "tokens_wh",
    "advances_wh",
    "emergency_wh",
    "charged_wh",
    "recovered_wh",
    "cleared_wh",
    "credit_wh",
    "emergency_debt_wh",
    "advance_debt_wh",
)
