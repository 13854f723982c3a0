"""How the pages of this Django's admin are built around what is in them."""

from typing import Any

import django


def surroundings() -> dict[str, Any]:
    """Return what templates have to know that are used with each Django."""
    return {
        "has_list_of_crumbs": django.VERSION >= (6, 1),
        "has_tools_in_title": django.VERSION >= (6, 0),
    }
