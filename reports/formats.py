"""Number formats that every picture, page, table and sentence shares: units, digits, intervals, percentages."""

import math

from epoch_gap.profiler.analysis.stats import Interval

SHORT = 0.01
"""Shorter times, in seconds, are shown in milliseconds."""


def seconds(value: float | None) -> str:
    """`4438 s`, `53.6 s`, `0.021 s`, `6.91 ms`; `n/a` for None."""
    if value is None:
        return "n/a"
    return milliseconds(value) if 0 < abs(value) < SHORT else f"{_number(value)} s"


def milliseconds(value: float | None) -> str:
    """`3412 ms`, `5.2 ms`, `0.031 ms`; `n/a` for None."""
    return "n/a" if value is None else f"{_number(value * 1000)} ms"


def _number(value: float) -> str:
    magnitude = abs(value)
    digits = 0 if magnitude >= 100 else 1 if magnitude >= 10 else 2 if magnitude >= 1 else 3
    return _minus(f"{value:.{digits}f}")


def within(low: float | None, high: float | None, form: str = "s") -> str:
    """An interval as text: `4310 s to 4560 s`; `interval unknown` without one."""
    if low is None or high is None:
        return "interval unknown"
    if form == "s":
        return f"{seconds(low)} to {seconds(high)}"
    return f"{times(low)} to {times(high)}"


def within_percent(low: float | None, high: float | None) -> str:
    """An interval of shares in whole percent: `70 to 97 %`; `interval unknown` without one."""
    return "interval unknown" if low is None or high is None else f"{100 * low:.0f} to {100 * high:.0f} %"


def times(value: float) -> str:
    """A ratio: `6.23`, `0.998`, `12.4`."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:#.3g}" if value >= 1.1 or value < 0.9 else f"{value:.3f}"


def interval(i: Interval) -> str:
    """A value in seconds with its interval."""
    return f"{seconds(i.value)} ({within(i.low, i.high)})"


def interval_ms(i: Interval) -> str:
    """A value in seconds, formatted in milliseconds with its interval."""
    if i.low is None or i.high is None:
        return f"{milliseconds(i.value)} (interval unknown)"
    return f"{milliseconds(i.value)} ({milliseconds(i.low)} to {milliseconds(i.high)})"


def percent(share: float | None) -> str:
    """`61.2 %`; small shares as `< 0.1 %`; `n/a` for None."""
    if share is None:
        return "n/a"
    if 0 < share < 0.001:
        return "< 0.1 %"
    return _minus(f"{share * 100:.1f} %")


def percent_at_most(share: float) -> str:
    """An upper bound, rounded up to a tenth of a percent, at least 0.1: `2.5 %` for 0.0241."""
    tenths = math.ceil(round(share * 1000, 6))
    return f"{max(tenths, 1) / 10:.1f} %"


def count(value: float) -> str:
    """A number of things with two digits: `250 000`, `1200`, `3.1`, `0`."""
    if value < 10:
        return f"{value:.2g}"
    digits = len(str(int(value)))
    whole = round(value, 2 - digits)
    return f"{whole:,.0f}".replace(",", " ") if whole >= 10_000 else f"{whole:.0f}"


def signed(text: str) -> str:
    """A formatted difference, with a plus sign if it is positive: `+5.2 %`."""
    return f"+{text}" if text[0].isdigit() and float(text.split()[0]) > 0 else text


def _minus(text: str) -> str:
    """The number with a typographic minus sign, and with none before a zero."""
    number = text.partition(" ")[0]
    return text.removeprefix("-") if float(number) == 0 else text.replace("-", "\N{MINUS SIGN}")
