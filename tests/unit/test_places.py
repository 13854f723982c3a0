"""Places as texts: what they name, and which are refused."""

import pytest

from leek.places import Place, places_in

PORT = 8002


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("localhost", [("localhost", PORT)]),
        ("queue1,queue2:8003", [("queue1", PORT), ("queue2", 8003)]),
        (" queue1 , queue2:8003 ", [("queue1", PORT), ("queue2", 8003)]),
        ("10.0.0.5:1,10.0.0.5:65535", [("10.0.0.5", 1), ("10.0.0.5", 65_535)]),
        ("::1", [("::1", PORT)]),
        ("fe80::1%eth0", [("fe80::1%eth0", PORT)]),
        ("[::1]", [("::1", PORT)]),
        ("[::1]:8003,127.0.0.1", [("::1", 8003), ("127.0.0.1", PORT)]),
        ("queue1:08003", [("queue1", 8003)]),
        ("queue1,queue1:8002,queue2", [("queue1", PORT), ("queue2", PORT)]),  # named once
    ],
)
def test_a_text_names_places_in_its_order(text: str, places: list[tuple[str, int]]) -> None:
    assert places_in(text, PORT) == places


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has an empty entry"),
        (" ", "has an empty entry"),
        ("queue1,", "has an empty entry"),
        (",queue1", "has an empty entry"),
        ("queue1, ,queue2", "has an empty entry"),
        ("queue1,queue1", "names queue1 twice"),
        ("queue1:1,queue2,queue1:1", "names queue1 twice"),
        (":8002", '":8002", which names no host'),
        ("[]", '"\\[]", which names no host'),
        ("[]:8002", "which names no host"),
        ("two words", '"two words", which names no host'),
        ("queue1:", "whose port is none from 1 to 65535"),
        ("queue1:0", "whose port is none"),
        ("queue1:65536", "whose port is none"),
        ("queue1:-1", "whose port is none"),
        ("queue1:http", "whose port is none"),
        ("queue1:8 2", "whose port is none"),
        ("queue1:\u0661", "whose port is none"),  # a digit, but not an ASCII one
        ("[::1]:", "whose port is none"),
        ("[::1]:x", "whose port is none"),
        ("[::1]8002", "which is neither a host nor a host and its port"),
        ("[::1", "which is neither a host nor a host and its port"),
        ("[::1]]:8002", "which is neither a host nor a host and its port"),
        ("::1]:8002", "which names no host"),
    ],
)
def test_what_names_no_places_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        places_in(text, PORT)


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (Place("localhost", 8002), "localhost:8002"),
        (Place("10.0.0.5", 1), "10.0.0.5:1"),
        (Place("::1", 8003), "[::1]:8003"),
    ],
)
def test_a_place_is_shown_as_it_may_be_written(place: Place, text: str) -> None:
    assert str(place) == text
    assert places_in(text, PORT) == [place]
