"""The plots of the live page, and the tables of what they show."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.utils.formats import time_format
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from leek import plots
from leek.admin.wording import number, span
from leek.history import Slot
from leek.plots import Tick

MEDIAN, MOST = 0.5, 0.95
LEAST_COUNT, LEAST_SECONDS = 4, 0.01  # at the end of an axis, however small all values are
ROW = f'<tr><th scope="row">{{}}</th>{"<td>{}</td>" * 6}</tr>'
TIMES = 3  # labels below a plot, from its beginning to its end


@dataclass(frozen=True)
class Curve:
    """One series of a plot: its path, how it is drawn, and what it tells of."""

    kind: str
    path: str
    label: str


@dataclass(frozen=True)
class Plot:
    """A picture of series, with what a reader needs who does not see it."""

    key: str
    title: str
    description: str
    curves: list[Curve]
    levels: list[Tick]
    times: list[Tick]

    size = (plots.WIDTH, plots.HEIGHT)
    left, right = plots.LEFT, plots.RIGHT
    below = plots.HEIGHT - 6  # where the times stand
    beside = plots.LEFT - 4  # and the labels of the levels


@dataclass(frozen=True)
class Period:
    """A span of time: its plots, and its slots in a table, the latest one first."""

    key: str
    title: str
    plots: list[Plot]
    rows: SafeString


def period_of(key: str, title: str, slots: Sequence[Slot], each: str) -> Period:
    """Return what is to be seen of a series; `each` says how long one of its slots is."""
    return Period(
        key=key,
        title=title,
        plots=[
            _counts(f"{key}-counts", slots, each),
            _times(f"{key}-waits", _("Waits"), slots, [each.wait for each in slots]),
            _times(f"{key}-runs", _("Run time"), slots, [each.run for each in slots]),
        ],
        rows=format_html_join("\n", ROW, (_row(slot) for slot in reversed(slots))),
    )


def _counts(key: str, slots: Sequence[Slot], each: str) -> Plot:
    ended = [slot.tally.attempts for slot in slots]
    others = [slot.others for slot in slots]
    scale = plots.scale_of(ended, LEAST_COUNT)
    description = _("%(ended)s attempts ended, %(others)s of them without success.")
    return Plot(
        key,
        _("Attempts, by %(slot)s") % {"slot": each},
        description % {"ended": number(sum(ended)), "others": number(sum(others))},
        [
            Curve("leek-bars", plots.bars(ended, scale), _("Succeeded")),
            Curve("leek-bars-bad", plots.bars(others, scale), _("Did not succeed")),
        ],
        _levels(scale, number),
        _labels(slots),
    )


def _times(
    key: str, title: str, slots: Sequence[Slot], seconds: list[Callable[[float], float | None]]
) -> Plot:
    median, most = ([of_slot(share) for of_slot in seconds] for share in (MEDIAN, MOST))
    scale = plots.scale_of_seconds(most, LEAST_SECONDS)
    longest = max((value for value in most if value is not None), default=None)
    description = _("The 95th percentile is %(longest)s at most.") % {"longest": span(longest)}
    return Plot(
        key,
        title,
        description if longest is not None else _("Nothing was counted."),
        [
            Curve("leek-line-most", plots.line(most, scale), _("95th percentile")),
            Curve("leek-line", plots.line(median, scale), _("Median")),
        ],
        _levels(scale, span),
        _labels(slots),
    )


def _levels(scale: float, label: Callable[[float], str]) -> list[Tick]:
    above = [Tick(plots.height_of(value, scale), label(value)) for value in (scale / 2, scale)]
    return [Tick(plots.BOTTOM, number(0)), *above]


def _labels(slots: Sequence[Slot]) -> list[Tick]:
    """Return the times below a plot."""
    last = len(slots) - 1
    numbers = [round(last * each / (TIMES - 1)) for each in range(TIMES)]
    return [Tick(plots.middle_of(each, len(slots)), _clock(slots[each])) for each in numbers]


def _clock(slot: Slot) -> str:
    return time_format(localtime(slot.begins_at), "H:i")


def _row(slot: Slot) -> list[str]:
    """Return a slot as the cells of its row."""
    figures = [each(share) for each in (slot.wait, slot.run) for share in (MEDIAN, MOST)]
    counts = [number(slot.tally.attempts), number(slot.others)]
    return [_clock(slot), *counts, *(span(seconds) for seconds in figures)]
