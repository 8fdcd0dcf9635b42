"""Types of the fields of the record and of a profile, for type checkers; `make types` writes it.

It is not installed on a board. Change firmware/jeton/state.py or jeton_host.firmware.profiles.
"""

from typing import Literal

class Record:
    """The fields of a `State`, in the order of its table."""

    credit_wh: int
    charged_wh: int
    total_wh: int
    rest_ws: int
    load_w: int
    clock: int
    provisioned: int
    drn: bytes
    profile: bytes
    language: bytes
    rows: int
    cols: int
    graphic: int
    ea: int
    sample_tables: int
    decoder_key: bytes
    kt: int
    krn: int
    ti: int
    ken: int
    sgc: int
    bdt: int
    kct: int
    mfr_code: int
    tids: bytes
    initial_wh: int
    tokens_wh: int
    advances_wh: int
    emergency_wh: int
    recovered_wh: int
    cleared_wh: int
    emergency_debt_wh: int
    advance_debt_wh: int
    warned: int
    muted: int
    unbalance_w: int
    load_from: int
    load_repeat_s: int
    day: int
    day_from_wh: int
    month_from_wh: int
    days: bytes
    months: bytes
    max_power_limit_w: int
    phase_unbalance_limit_w: int
    tariff_rate: int
    tamper: int
    switch_closed: int
    switch_reason: int
    hold: int
    trips: int
    reconnect_at: int
    reconnected: int
    result: int
    sections: bytes
    sections_from: int
    last_token: bytes
    last_tid: int
    bought: int
    lock_count: int
    lock_until: int
    lock_first: int
    power_fails: int
    event_seq: int
    report_seq: int
    report_done: int
    report_lost: int
    lock: bytes
    events: bytearray
    reports: bytearray
    history: bytearray
    load_steps: bytes | bytearray

class Settings:
    """The settings of a `Profile`, in the form of a board (profiles.settings_for_board)."""

    name: str
    entry_auto_enter: bool
    entry_separator: str
    entry_counter: bool
    entry_idle_timeout_s: int
    entry_clear_s: int | None
    entry_several: Literal["split", "refuse"]
    entry_lock_while_result: bool
    codes_start: Literal["", "#", "i"]
    codes_digits: int | None
    codes_list: str
    lockout_after: int | None
    lockout_within_s: int | None
    lockout_steps_s: list[int]
    lockout_cleared_by_power_cycle: bool
    screens_result_s: int
    screens_amount_s: int | None
    screens_page_s: int
    screens_flash: bool
    key_change_ordered: bool
    key_change_window_s: int | None
    key_change_tokens: int
    key_change_keep_at_power_up: bool
    credit_max_wh: int
    credit_min_wh: int
    credit_low_wh: int | None
    credit_alarm_wh: int | None
    credit_mute_any_key: bool
    credit_emergency_wh: int
    credit_emergency_offer_wh: int
    credit_emergency_by: Literal["code", "enter", "auto"]
    credit_advance_share: int
    credit_never_cut: bool
    credit_friendly: list[int]
    credit_holidays: list[str]
    supply_limit_delay_s: int
    supply_reconnect_s: int | None
    supply_trips: int | None
    supply_lock_s: int
    supply_reconnect: Literal["auto", "manual"]
    supply_unbalance: bool
    supply_tamper: Literal["open", "log", "open_at_zero"]
    supply_tamper_takes: Literal["all", "clearing"]
    supply_pulses_per_kwh: int
