"""The links above the list of tasks that lead from years to months to days."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from leek.database import aware

COLUMN = "pushed_at"
YEAR, MONTH, DAY = (f"{COLUMN}__{unit}" for unit in ("year", "month", "day"))

Link = Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True)
class DrillDown:
    """What is chosen, as Django's template for it has it: a way back, and choices."""

    back: dict[str, str] | None = None
    choices: list[dict[str, str]] = field(default_factory=list)


def drill_down(chosen: Mapping[str, str], ends: tuple[datetime, datetime], link: Link) -> DrillDown:
    """Return the links to the days between the oldest and the newest push; no row is read."""
    first, last = (_day(end) for end in ends)
    year, month, day = (
        int(chosen[unit]) if unit in chosen else None for unit in (YEAR, MONTH, DAY)
    )
    if year and month and day:
        month_of_day = _to(date(year, month, 1), link)
        return DrillDown(
            month_of_day, [{"title": _title(date(year, month, day), "MONTH_DAY_FORMAT")}]
        )
    is_chosen = year is not None
    if not year and first.year == last.year:
        year = first.year
        month = first.month if first.month == last.month else None
    if year and month:
        days = [day for day in _days(first, last) if (day.year, day.month) == (year, month)]
        back = _to_year(year, link) if is_chosen else None
        return DrillDown(back, [_to_day(day, link) for day in days])
    if year:
        months = [day for day in _months(first, last) if day.year == year]
        back = {"link": link({}), "title": _("All dates")} if is_chosen else None
        return DrillDown(back, [_to(month, link) for month in months])
    return DrillDown(None, [_to_year(year, link) for year in range(first.year, last.year + 1)])


def _day(moment: datetime) -> date:
    return timezone.localtime(aware(moment)).date()


def _days(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=number) for number in range((last - first).days + 1))


def _months(first: date, last: date) -> list[date]:
    return sorted({day.replace(day=1) for day in _days(first, last)})


def _title(day: date, form: str) -> str:
    return str(capfirst(date_format(day, form)))


def _to_year(year: int, link: Link) -> dict[str, str]:
    return {"link": link({YEAR: year}), "title": str(year)}


def _to(month: date, link: Link) -> dict[str, str]:
    address = link({YEAR: month.year, MONTH: month.month})
    return {"link": address, "title": _title(month, "YEAR_MONTH_FORMAT")}


def _to_day(day: date, link: Link) -> dict[str, str]:
    address = link({YEAR: day.year, MONTH: day.month, DAY: day.day})
    return {"link": address, "title": _title(day, "MONTH_DAY_FORMAT")}
