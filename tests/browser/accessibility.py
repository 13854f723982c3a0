"""What a page owes to those who see little, use no mouse or have a small window."""

from itertools import groupby, pairwise
from pathlib import Path

from tests.browser.visitor import LIGHT, Visitor

FOLDER = Path(__file__).resolve().parent
FAULTS = (FOLDER / "accessibility.js").read_text()
WATCH_FOCUS = (FOLDER / "keyboard.js").read_text()
EXTRA_STOPS = 3  # the window itself is one, and where scrolling is needed, what scrolls


def inspect(visitor: Visitor, name: str, part: str = "body") -> None:
    """Take screenshots of the page in each look, and fail if a part of it leaves somebody out."""
    found = []
    for look in visitor.looks():
        visitor.photograph(name)
        faults = visitor.run(FAULTS, part, look.width)
        if look == LIGHT:
            faults += keyboard_faults(visitor, part)
        found += [f"{look.name}: {fault}" for fault in faults]
    assert not found, "\n".join([f"{name}:", *found])


def keyboard_faults(visitor: Visitor, part: str = "body") -> list[str]:
    """Go once round the page by the Tab key; name what it passes by, and where it is not seen."""
    watch = visitor.run(WATCH_FOCUS, part)
    visitor.press_tab(watch["stops"] + EXTRA_STOPS)
    went = visitor.run("return window.whereFocusWent()")
    visited = {step["place"] for step in went}
    unseen = {step["place"] for step in went if not step["isSeen"]}
    faults = [
        f"{fault}: {name}"
        for place, name in enumerate(watch["names"])
        for fault, is_so in (
            ("not reached by Tab", place not in visited),
            ("focus is not seen", place in unseen),
        )
        if is_so
    ]
    places = [place for place, _ in groupby(step["place"] for step in went)]  # a focus given anew
    turns = sum(later < earlier for earlier, later in pairwise(places))
    return faults + [f"Tab goes back and forth: {places}"] * (turns > 1)
