"""The inspection finds what it is for."""

from urllib.parse import quote

import pytest

from tests.browser.accessibility import FAULTS, keyboard_faults
from tests.browser.visitor import DARK, LIGHT, NARROW, Look, Visitor

PAGE = """
    <!doctype html><html lang="en"><meta name="viewport" content="width=device-width">
    <title>A page</title><style>:root {{ color-scheme: light dark }} {style}</style>
    <main><h1>Heading</h1>{content}</main></html>
"""


def show(visitor: Visitor, content: str, style: str = "") -> None:
    visitor.driver.get(f"data:text/html,{quote(PAGE.format(content=content, style=style))}")


def faults(visitor: Visitor) -> list[str]:
    return list(visitor.run(FAULTS, "body", visitor.look.width))


@pytest.mark.parametrize("look", [LIGHT, DARK, NARROW], ids=lambda look: look.name)
def test_a_good_page_has_no_faults(visitor: Visitor, look: Look) -> None:
    visitor.put_on(look)
    show(
        visitor,
        """
        <h2>Form</h2><label for="name">Name</label> <input id="name">
        <button>Send</button> <a href="#there">Link</a> <img src="data:," alt="">
        <label><input type="radio" name="size" checked> Small</label>
        <label><input type="radio" name="size"> Large</label>
        <details><summary>More</summary><a href="#">Hidden</a></details>
        <div id="table"><table><tr><th>Wide</th></tr></table></div>
        """,
        "#table { overflow-x: auto } table { width: 2000px }",
    )
    assert faults(visitor) == []
    assert keyboard_faults(visitor) == []


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("<input>", "no label"),
        ("<input placeholder='Name'>", "no label"),
        ("<label for='name'> </label><select id='name'></select>", "no label"),
        ("<progress></progress>", "no label"),
        ("<a href='#'><img src='data:,' alt=''></a>", "no name"),
        ("<button></button>", "no name"),
        ("<img src='data:,'>", "no alternative text"),
        ("<h3>Deep</h3>", "h3 follows h1"),
        ("<h1>Other</h1>", "not one h1"),
        ("<h2> </h2>", "an empty heading"),
        ("<table><tr><td>1</td></tr></table>", "a table without headers"),
        ("<i id='a'></i><b id='a'></b>", "more than one element has the id a"),
        ("<p aria-describedby='lost'>Text</p>", "aria-describedby names nothing"),
        ("<p style='color: #888'>Text</p>", "contrast 3.54 of text"),
        ("<p style='color: #0008'>Text</p>", "contrast 4.48 of text"),
        ("<p style='opacity: .5'>Text</p>", "contrast 3.98 of text"),
        ("<p style='background: black; color: #444'>Text</p>", "contrast 2.16 of text"),
        ("<p style='background: #000c'><b style='color: #444'>T</b></p>", "contrast 1.30 of text"),
        ("<p style='width: 1500px'>Text</p>", "wider than 1280 pixels"),
    ],
)
def test_a_fault_is_found(visitor: Visitor, content: str, fault: str) -> None:
    show(visitor, content)
    assert any(found.startswith(fault) for found in faults(visitor)), faults(visitor)


def test_contrast_is_looked_at_in_the_dark_too(visitor: Visitor) -> None:
    show(visitor, "<p style='color: #333'>Text</p>")
    assert faults(visitor) == []
    visitor.put_on(DARK)
    assert faults(visitor)[0].startswith("contrast")


@pytest.mark.parametrize(
    ("content", "style", "fault"),
    [
        ("<a href='#'>One</a>", ":focus { outline: none }", "focus is not seen"),
        ("<a href='#'>One</a>", ":focus { outline: none; color: red }", "focus is not seen"),
        (
            "<a href='#'>1</a><a href='#' tabindex=2>2</a><a href='#' tabindex=1>3</a>",
            "",
            "Tab goes back and forth",
        ),
        (
            "<a href='#' id='trap'>One</a><script>trap.onkeydown = () => false</script>"
            "<a href='#'>Two</a>",
            "",
            "not reached by Tab",
        ),
    ],
)
def test_trouble_with_the_keyboard_is_found(
    visitor: Visitor, content: str, style: str, fault: str
) -> None:
    show(visitor, content, style)
    assert any(found.startswith(fault) for found in keyboard_faults(visitor))


def test_a_window_that_gets_the_focus_during_the_round_is_no_trouble(visitor: Visitor) -> None:
    show(
        visitor,
        """
        <a href="#" id="first">One</a> <a href="#">Two</a> <a href="#">Three</a>
        <script>
        const giveAnew = () => { first.blur(); first.focus(); };
        first.addEventListener("focusin", giveAnew, { once: true });
        </script>
        """,
    )
    assert keyboard_faults(visitor) == []


def test_a_failed_script_and_a_failed_request_are_noticed(visitor: Visitor) -> None:
    show(visitor, "<script>missing()</script><img alt='' src='http://example.com/a.png'>")
    failed_script, failed_request = sorted(visitor.errors(), key=lambda error: "http" in error)
    assert "missing is not defined" in failed_script
    assert "ERR_NAME_NOT_RESOLVED" in failed_request
