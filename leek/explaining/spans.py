"""Spans of time in words."""

from django.utils.translation import gettext as _

MINUTE, HOUR, DAY = 60, 3600, 86_400  # seconds


def span(seconds: float) -> str:
    """Return a time as a person says it, in whole numbers."""
    for unit, text in ((DAY, _("%(number)s days")), (HOUR, _("%(number)s h"))):
        if seconds >= 2 * unit:
            return text % {"number": f"{seconds / unit:,.0f}"}
    if seconds >= 2 * MINUTE:
        return _("%(number)s min") % {"number": f"{seconds / MINUTE:.0f}"}
    return _("%(number)s s") % {"number": f"{max(seconds, 0):.0f}"}
