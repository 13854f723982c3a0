"""States as coloured words."""

from django.utils.html import format_html
from django.utils.safestring import SafeString

from leek.models import State


def label_of(state: State) -> SafeString:
    """Return the label of a state."""
    kind = f"leek-label leek-label-{state.name.lower()}"
    return format_html('<span class="{}">{}</span>', kind, state.label)
