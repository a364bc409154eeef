"""How a stage is written: as at most three lines of a terminal that never fold, or as one line of a log.

On a terminal of 80 columns the first line has name, bar, done and total, rate, time and share of success, each in a place
of its own. A narrower terminal leaves out the bar, then words and gaps, then the rate; a wider one has a longer bar and name.
"""

from collections.abc import Iterable, Sequence

from rich.cells import cell_len, set_cell_size

from tagmill.shards.progress.counts import ProgressCounts
from tagmill.shards.progress.figures import (
    COUNT_WIDTH,
    TIME_WIDTH,
    count_text,
    rate_text,
    reason_share_text,
    share_text,
    time_text,
)
from tagmill.shards.progress.protocol import SlowHost, Traffic
from tagmill.shards.terminal.safe_text import safe_text

NAME, WIDE_NAME, WIDE = 20, 24, 100  # columns of a name, and those of a terminal that has more for it
MIN_BAR, MAX_BAR = 6, 40
DONE, RATE, TIME, SHARE = 2 * COUNT_WIDTH + 1, COUNT_WIDTH + 2, len("left ") + TIME_WIDTH, len("ok ") + 6
SLOW_HOSTS = 3  # hosts that are named
WORD = 60  # columns of a name that is not ours
INDENT = "  "


def screen_lines(
    now: ProgressCounts, traffic: Traffic, width: int, *, ended: bool = False, unicode: bool = True
) -> list[str]:
    """Returns one to three lines of at most `width` columns: the stage, reasons of rejects, slowest hosts.

    `unicode`: whether the terminal shows more than ASCII.
    """
    lines = [_first_line(now, width, ended=ended, unicode=unicode)]
    if reasons := _reasons(now):
        lines.append(_fitting(f"{INDENT}top: ", reasons, width))
    if slow := _slow(traffic):
        lines.append(_fitting(f"{INDENT}slowest: ", slow, width))
    return lines


def log_line(now: ProgressCounts, traffic: Traffic, *, verb: str = "", hosts: bool = False) -> str:
    """Returns a line of a log. `verb` follows the name where the stage begins, ends or stops; with `hosts` the slowest hosts
    are named too."""
    name = safe_text(now.name, WORD) + (f" {verb}" if verb else "")
    if verb == "begins":
        return name if now.total is None else f"{name}  {now.total:,} in all"
    parts, over = [], bool(verb)
    if now.done:
        total = "" if now.total is None else f"/{now.total:,}"
        parts += [f"{now.done:,}{total}", rate_text(now.mean_rate if over else now.rate)]
    parts.append(_time(now, over))
    if now.success is not None:
        parts.append(f"{share_text(now.success)} ok")
    if reasons := _reasons(now):
        parts.append(f"top: {', '.join(reasons)}")
    if hosts and (slow := _slow(traffic)):
        parts.append(f"slowest: {', '.join(slow)}")
    head = f"{name}  " if verb else f"{name} "
    return head + "  ".join(parts)


def place_text(now: ProgressCounts) -> str:
    """Returns where a stage is, for the line about a command that was stopped: `fetch, 120,000 of 3,000,000`."""
    name = safe_text(now.name, WORD)
    if not now.done:
        return name
    return f"{name}, {now.done:,}" + ("" if now.total is None else f" of {now.total:,}")


def _first_line(now: ProgressCounts, width: int, *, ended: bool, unicode: bool) -> str:
    name = safe_text(now.name, WORD)
    total = "" if now.total is None else f"/{count_text(now.total)}"
    done = f"{count_text(now.done)}{total}" if now.done or not ended else ""
    rate = rate_text(now.mean_rate if ended else now.rate) if now.done else ""
    time, share = _time(now, ended), "" if now.success is None else f"{share_text(now.success)} ok"
    name_width = WIDE_NAME if width >= WIDE else NAME
    columns = [done.rjust(DONE), rate.rjust(RATE), time.rjust(TIME), share.rjust(SHARE)]
    beside = sum(map(len, columns)) + len(columns)
    room = width - name_width - 1 - beside
    if room >= MIN_BAR:
        bar = _bar(now, min(room, MAX_BAR), ended=ended, unicode=unicode)
        return " ".join([_sized(name, name_width), bar, *columns])
    if room >= -1:
        return " ".join([_sized(name, name_width), *columns])
    short_time = (time.split(" ", 1)[1] if time[:3] in ("in ", "for") else time.removesuffix(" left")).rjust(TIME_WIDTH)
    columns = [done.rjust(DONE), rate.rjust(RATE), short_time, share.removesuffix(" ok").rjust(6)]
    if width < NAME + 1 + sum(map(len, columns)) + len(columns) - 1:
        del columns[1]
    beside = sum(map(len, columns)) + len(columns)
    return _cropped(" ".join([_sized(name, max(4, width - beside)), *columns]), width)


def _time(now: ProgressCounts, ended: bool) -> str:
    if ended:
        return f"in {time_text(now.seconds)}"
    eta = now.eta
    return f"for {time_text(now.seconds)}" if eta is None else f"{time_text(eta)} left"


def _bar(now: ProgressCounts, width: int, *, ended: bool, unicode: bool) -> str:
    """A stage that has ended is full, also where it did not count."""
    share = 1.0 if ended else min(1.0, now.done / now.total) if now.total else 0.0
    filled = int(share * width)
    full, empty = ("━", "─") if unicode else ("#", "-")
    return full * filled + empty * (width - filled)


def _reasons(now: ProgressCounts) -> list[str]:
    counted = now.counts.total()
    reasons = now.top_reasons.items()
    return [f"{safe_text(name, WORD)} {reason_share_text(count / counted)}" for name, count in reasons]


def _slow(traffic: Traffic) -> list[str]:
    slow: Sequence[SlowHost] = traffic.slowest[:SLOW_HOSTS]
    return [f"{safe_text(each.host, WORD)} {each.mean:.1f} s x {each.urls:,}" for each in slow]


def _fitting(head: str, items: Iterable[str], width: int) -> str:
    """Joins as many items as fit; the first is there always, cropped if it must be."""
    line = head
    for number, item in enumerate(items):
        longer = line + (", " if number else "") + item
        if number and cell_len(longer) > width:
            break
        line = longer
    return _cropped(line, width)


def _sized(text: str, width: int) -> str:
    return set_cell_size(_cropped(text, width), width)


def _cropped(text: str, width: int) -> str:
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(0, width - 2)).rstrip() + ".." if width > 2 else set_cell_size(text, width)
