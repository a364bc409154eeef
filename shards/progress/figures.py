"""Numbers in few columns: counts with SI prefixes, times, shares and rates."""

EXACT = 100_000  # counts below are written in full
COUNT_WIDTH = 6  # columns that a count has at most
TIME_WIDTH = 8  # columns that a time has at most
_PREFIXES = "kMGTPE"
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def count_text(count: int) -> str:
    """Returns a count of at least 0 in at most `COUNT_WIDTH` columns: 99,999, then three digits: 120 k, 3.50 G."""
    if count < EXACT:
        return f"{count:,}"
    for power, prefix in enumerate(_PREFIXES, 1):
        for digits in (2, 1, 0):
            unit = 1000**power // 10**digits
            # Rounded once, in whole numbers: a count may have more digits than a float.
            shown = (2 * count + unit) // (2 * unit)
            if shown < 1000:
                return f"{shown / 10**digits:.{digits}f} {prefix}"
    return f">999 {_PREFIXES[-1]}"


def time_text(seconds: float) -> str:
    """Returns a time of at least 0 in at most `TIME_WIDTH` columns: 1:57:00, from 100 hours on in days and hours: 9 d 3 h."""
    if seconds >= 1000 * _DAY:
        return ">999 d"
    whole = round(seconds)
    if whole < 100 * _HOUR:
        return f"{whole // _HOUR}:{whole // _MINUTE % 60:02}:{whole % _MINUTE:02}"
    return f"{whole // _DAY} d" + (f" {whole % _DAY // _HOUR} h" if whole < 10 * _DAY else "")


def share_text(share: float) -> str:
    """Returns a share, 0 to 1, in at most 7 columns: 93.1 %. It is 0 % and 100 % only where it is that exactly."""
    if share in (0, 1):
        return f"{share:.0%}".replace("%", " %")
    tenths = min(max(round(share * 1000), 1), 999)
    return f"{tenths / 10:.1f} %"


def reason_share_text(share: float) -> str:
    """Returns the share of a reason, 0 to 1, in at most 6 columns: 4 %, 0.3 %, <0.1 %."""
    if 0 < share < 0.0005:
        return "<0.1 %"
    return f"{share * 100:.0f} %" if share >= 0.0095 else f"{share * 100:.1f} %"


def rate_text(rate: float) -> str:
    """Returns a rate per second in at most 8 columns: 410/s, 9.3/s, 120 k/s."""
    return f"{rate:.1f}/s" if 0 < rate < 9.95 else f"{count_text(round(min(rate, 1e30)))}/s"
