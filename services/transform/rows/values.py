"""Values of many rows at a time, checked byte by byte: numbers, times, days, strings, nested values.

Each function gets a block's text and the position of one value per row, and says of which rows it is certain and
what they hold. It may doubt a value that the reference accepts, never the other way round. It knows no contracts.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from services.transform.rows.text import BlockText, Mask, Positions, Words

Ints = npt.NDArray[np.int64]

MICROS_PER_DAY = 86_400_000_000


# Numbers: JSON's grammar as an automaton. A state stands for what has been read; the last four are final.

_START, _MINUS, _ZERO, _WHOLE, _POINT, _FRACTION, _E, _E_SIGN, _EXPONENT, _EXPONENT2 = range(0, 10 * 256, 256)
_INTEGER_END, _FRACTION_END, _EXPONENT_END, _BAD = range(10 * 256, 14 * 256, 256)
_MAX_TOKEN = 24  # bytes; longer numbers are left to the reference, as are exponents of more than two digits
_MAX_INTEGER = 18  # bytes; always fits in 64 bits


def _transitions() -> Ints:
    """The state after each state (a multiple of 256) and byte."""
    table = np.full(14 * 256, _BAD, dtype=np.int64)

    def on(states: tuple[int, ...], bytes_: bytes, then: int) -> None:
        for state in states:
            table[[state + byte for byte in bytes_]] = then

    digits, after = b"0123456789", b',}] \t\r\n"'
    on((_START,), b"-", _MINUS)
    on((_START, _MINUS), b"0", _ZERO)
    on((_START, _MINUS), b"123456789", _WHOLE)
    on((_WHOLE,), digits, _WHOLE)
    on((_ZERO, _WHOLE), b".", _POINT)
    on((_POINT, _FRACTION), digits, _FRACTION)
    on((_ZERO, _WHOLE, _FRACTION), b"eE", _E)
    on((_E,), b"+-", _E_SIGN)
    on((_E, _E_SIGN), digits, _EXPONENT)
    on((_EXPONENT,), digits, _EXPONENT2)
    on((_ZERO, _WHOLE), after, _INTEGER_END)
    on((_FRACTION,), after, _FRACTION_END)
    on((_EXPONENT, _EXPONENT2), after, _EXPONENT_END)
    for end in (_INTEGER_END, _FRACTION_END, _EXPONENT_END):
        table[end : end + 256] = end
    return table


_NEXT_STATE = _transitions()


class Tokens(NamedTuple):
    """Number tokens: where they end, which are well-formed, and which of those have no fraction and exponent."""

    end: Positions
    ok: Mask
    is_integer: Mask
    has_exponent: Mask
    point: Positions  # where the whole part ends


def number_tokens(text: BlockText, at: Positions) -> Tokens:
    """The number tokens that begin at each position."""
    state = np.zeros(len(at), dtype=np.int64)
    end, point = at.copy(), at.copy()
    for step in range(_MAX_TOKEN + 1):
        state = _NEXT_STATE.take(state + text.byte(at + step))
        unfinished = state < _INTEGER_END
        if not unfinished.any():
            break
        end += unfinished
        point += state <= _WHOLE
    ok = (state >= _INTEGER_END) & (state < _BAD)
    return Tokens(end, ok, state == _INTEGER_END, state == _EXPONENT_END, point)


def is_int64(tokens: Tokens, at: Positions) -> Mask:
    """Which tokens are integers that surely fit in 64 bits."""
    fits: Mask = tokens.end - at <= _MAX_INTEGER
    return tokens.ok & tokens.is_integer & fits


def is_decimal(text: BlockText, tokens: Tokens, at: Positions, precision: int, scale: int) -> Mask:
    """Which tokens surely fit in decimal(precision, scale) as they are written."""
    first = at + (text.byte(at) == ord("-"))
    whole = tokens.point - first - (text.byte(first) == ord("0"))
    fraction = np.maximum(tokens.end - tokens.point - 1, 0)
    fits: Mask = (whole <= precision - scale) & (fraction <= scale)
    return tokens.ok & ~tokens.has_exponent & fits


# Times and days. Eight bytes are looked at as one number: XOR with a pattern such as "0000-00-" leaves each digit's
# value in its byte and zero where a separator must stand.


class _Pattern:
    """Text of digits ('0'), separators, and bytes that may be anything ('?')."""

    def __init__(self, pattern: str) -> None:
        def word(byte_of: dict[str, int], default: int | None) -> np.uint64:
            values = [byte_of.get(char, ord(char) if default is None else default) for char in pattern]
            return np.uint64(int.from_bytes(bytes(values), "little"))

        self._xor = word({"?": 0}, None)
        self._keep = word({"?": 0}, 0xFF)
        self._must_be_zero = word({"0": 0xF0, "?": 0}, 0xFF)
        self._digits = word({"0": 0xF0}, 0)
        self._six = word({"0": 0x06}, 0)

    def read(self, words: Words) -> tuple[Words, Mask]:
        """The values of the digits in their bytes, and which words have the pattern."""
        values = (words ^ self._xor) & self._keep
        wrong = (values & self._must_be_zero) | ((values + self._six) & self._digits)
        ok: Mask = wrong == 0
        return values, ok


_DATE_START, _DATE_END = _Pattern("0000-00-"), _Pattern("00-00-00")  # YYYY-MM- and YY-MM-DD
_DAY_TO_MINUTE, _SECOND, _ZONE = _Pattern("00?00:00"), _Pattern(":00?????"), _Pattern("?00:00??")
_FIRST_OF_MONTH: Ints = np.arange("0001-01", "10000-02", dtype="datetime64[M]").astype("datetime64[D]").astype(np.int64)
_FIRST_MICRO = int(_FIRST_OF_MONTH[0]) * MICROS_PER_DAY
_END_MICRO = int(_FIRST_OF_MONTH[-1]) * MICROS_PER_DAY
_MOST_EPOCH_DIGITS = 18  # of microseconds: more are beyond the year 9999
_MAX_FRACTION = 9  # digits; longer ones are left to the reference


def _digit(values: Words, byte: int) -> Ints:
    return ((values >> np.uint64(8 * byte)) & np.uint64(15)).view(np.int64)


def _pair(values: Words, byte: int) -> Ints:
    """The two-digit number at a byte."""
    return _digit(values, byte) * 10 + _digit(values, byte + 1)


def _day_number(values: Words, day: Ints) -> tuple[Ints, Mask]:
    """Days since 1970 for the year and month in "YYYY-MM-", and which are real days."""
    year, month = _pair(values, 0) * 100 + _pair(values, 2), _pair(values, 5)
    index = (year - 1) * 12 + month - 1
    first = _FIRST_OF_MONTH.take(index, mode="clip")
    is_month = (year >= 1) & (month >= 1) & (month <= 12)
    is_day = (day >= 1) & (day <= _FIRST_OF_MONTH.take(index + 1, mode="clip") - first)
    return first + day - 1, is_month & is_day


def days(text: BlockText, start: Positions, end: Positions) -> tuple[Ints, Mask]:
    """Days since 1970 for the slices that are YYYY-MM-DD."""
    values, head_ok = _DATE_START.read(text.word(start))
    tail, tail_ok = _DATE_END.read(text.word(start + 2))
    day, is_day = _day_number(values, _pair(tail, 6))
    return day, (end - start == 10) & head_ok & tail_ok & is_day


def timestamps(
    text: BlockText, start: Positions, end: Positions, has_offset: bool | None = None, default_offset: int = 0
) -> tuple[Ints, Mask]:
    """UTC microseconds since 1970 for the slices that are RFC 3339 times.

    `has_offset` says whether all or none of them must say their offset from UTC; times without one are `default_offset`
    minutes ahead of it.
    """
    date_values, ok = _DATE_START.read(text.word(start))
    words = text.word(start + 8)
    time_values, time_ok = _DAY_TO_MINUTE.read(words)
    second_values, second_ok = _SECOND.read(text.word(start + 16))
    separator = ((words >> np.uint64(16)) & np.uint64(0xFF)).astype(np.uint8)
    day, is_day = _day_number(date_values, _pair(time_values, 0))
    hour, minute, second = _pair(time_values, 3), _pair(time_values, 6), _pair(second_values, 1)
    ok &= time_ok & second_ok & is_day & (hour <= 23) & (minute <= 59) & (second <= 59)
    ok &= (separator == ord("T")) | (separator == ord(" ")) | (separator == ord("t"))
    fraction, zone = _fraction(text, start + 19, end)
    offset, zone_ok = _zone_offset(text, zone, end)
    if has_offset is not None:
        zone_ok &= (zone < end) == has_offset
    if default_offset:
        offset += np.where(zone >= end, default_offset, 0)
    micros = ((day * 24 + hour) * 60 + minute - offset) * 60 + second
    micros = micros * 1_000_000 + fraction
    ok &= zone_ok & (micros >= _FIRST_MICRO) & (micros < _END_MICRO)
    return micros, ok


def epochs(text: BlockText, tokens: Tokens, start: Positions, unit: int) -> tuple[Ints, Mask]:
    """UTC microseconds since 1970 for numbers of so many microseconds each; further digits are cut off."""
    most_digits = _MOST_EPOCH_DIGITS - len(str(unit)) + 1
    is_negative = text.byte(start) == ord("-")
    first = start + is_negative
    ok = tokens.ok & ~tokens.has_exponent & (tokens.point - first <= most_digits)
    ok &= tokens.is_integer | ~is_negative  # digits that are cut off make a time earlier, not its digits smaller
    micros = _whole(text, np.where(ok, first, 0), np.where(ok, tokens.point, 0)) * unit
    if not tokens.is_integer[ok].all():
        fraction, stop = _fraction(text, tokens.point, tokens.end)
        ok &= tokens.is_integer | (stop == tokens.end)
        micros += np.where(tokens.is_integer, 0, fraction * unit // 1_000_000)
    micros = np.where(is_negative, -micros, micros)
    return micros, ok & (micros >= _FIRST_MICRO) & (micros < _END_MICRO)


def _whole(text: BlockText, start: Positions, end: Positions) -> Ints:
    """The number that the digits from each start to its end are."""
    number = np.zeros(len(start), dtype=np.int64)
    for step in range(int((end - start).max(initial=0))):
        digit = (text.byte(start + step) - np.uint8(ord("0"))).astype(np.int64)
        number = np.where(start + step < end, number * 10 + digit, number)
    return number


def _fraction(text: BlockText, at: Positions, end: Positions) -> tuple[Ints, Positions]:
    """Microseconds after the point at `at`, if there is one, and where they end."""
    micros, stop = np.zeros(len(at), dtype=np.int64), at
    going = (text.byte(at) == ord(".")) & (at < end)
    if not going.any():
        return micros, stop
    scale = np.where(going, 1_000_000, 0)
    for step in range(1, _MAX_FRACTION + 1):
        digit = text.byte(at + step) - np.uint8(ord("0"))
        going &= digit <= 9
        if not going.any():
            break
        stop = np.where(going, at + step + 1, stop)
        scale //= 10
        micros += np.where(going, digit * scale, 0)
    return micros, stop


def _zone_offset(text: BlockText, at: Positions, end: Positions) -> tuple[Ints, Mask]:
    """Minutes ahead of UTC for the zone that fills `at` to `end`; none means UTC."""
    sign, size = text.byte(at), end - at
    offset = np.zeros(len(at), dtype=np.int64)
    ok = (size == 0) | ((size == 1) & ((sign == ord("Z")) | (sign == ord("z"))))
    if ok.all():
        return offset, ok
    values, is_zone = _ZONE.read(text.word(at))
    hours, minutes = _pair(values, 1), _pair(values, 4)
    has_offset = (size == 6) & is_zone & (hours <= 23) & (minutes <= 59)
    offset += np.where(has_offset & (sign == ord("+")), hours * 60 + minutes, 0)
    offset -= np.where(has_offset & (sign == ord("-")), hours * 60 + minutes, 0)
    return offset, ok | (has_offset & ((sign == ord("+")) | (sign == ord("-"))))


# Strings with escapes, and nested values: msgspec checks all of a column at once, or one by one to find the bad ones.

_STRINGS, _STRING = msgspec.json.Decoder(list[str]), msgspec.json.Decoder(str)
_RAWS, _RAW = msgspec.json.Decoder(list[msgspec.Raw]), msgspec.json.Decoder(msgspec.Raw)
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def unescape(tokens: list[bytes]) -> list[str | None]:
    """The strings that these string tokens (with their quotes) stand for; None for a broken one."""
    try:
        found: list[str | None] = list(_STRINGS.decode(b"[" + b",".join(tokens) + b"]"))
    except _NOT_JSON:
        return [_unescape_one(token) for token in tokens]
    return found


def _unescape_one(token: bytes) -> str | None:
    try:
        return _STRING.decode(token)
    except _NOT_JSON:
        return None


def slices(text: BlockText, start: Positions, end: Positions, has_value: Mask) -> pa.StringArray:
    """The texts from each start to its end, in ascending order in the block; null where there is no value."""
    if has_value.all():
        return _cut(text, start, end)
    texts = _cut(text, start[has_value], end[has_value])
    _, offsets, data = texts.buffers()
    values_before = np.append(0, np.cumsum(has_value))
    spread = np.frombuffer(offsets, dtype=np.int32).take(values_before)
    validity = np.packbits(has_value, bitorder="little")
    buffers = [pa.py_buffer(validity), pa.py_buffer(spread), data]
    return pa.Array.from_buffers(pa.string(), len(has_value), buffers)


def _cut(text: BlockText, start: Positions, end: Positions) -> pa.StringArray:
    """The texts from each start to its end, as they stand in the block.

    Arrow's `take` asks for the mean length of what it takes from, times the rows that it takes: every second one is
    never more than the block, whereas a few texts and the gaps between them, taken for many rows, would be many blocks.
    """
    if not len(start):
        return pa.array([""], pa.string())[:0]
    bounds = np.empty(2 * len(start), dtype=np.int32)
    bounds[0::2], bounds[1::2] = start, end
    buffers = [None, pa.py_buffer(bounds), pa.py_buffer(text.data)]
    slices_and_gaps = pa.Array.from_buffers(pa.string(), len(bounds) - 1, buffers)
    return slices_and_gaps.take(pa.array(np.arange(0, len(bounds), 2, dtype=np.int32)))


def are_json(texts: pa.StringArray) -> Mask:
    """Which of these texts are one JSON value each, with nothing around it."""
    sizes = pc.binary_length(texts).to_numpy()
    joined = pc.binary_join(pa.ListArray.from_arrays([0, len(texts)], texts), ",")[0].as_buffer()
    try:
        found = _RAWS.decode(b"".join((b"[", memoryview(joined), b"]")))
    except _NOT_JSON:
        found = []
    if len(found) == len(texts) and (np.fromiter(map(len, found), np.int32, len(found)) == sizes).all():
        return np.ones(len(texts), dtype=bool)
    return np.array([_is_json(text) for text in texts.cast(pa.binary()).to_pylist()], dtype=bool)


def _is_json(text: bytes) -> bool:
    try:
        _RAW.decode(text)
    except _NOT_JSON:
        return False
    return True
