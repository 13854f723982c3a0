"""Evidence of work for siblings."""

import pytest

from leek.server.evidence import BETWEEN_HINTS, BETWEEN_ROUNDS, Evidence, Kind


def test_what_is_taken_is_not_kept() -> None:
    evidence = Evidence()
    assert not evidence
    evidence.add(Kind.OWN)
    evidence.add(Kind.OTHERS)
    assert evidence
    assert evidence.take() == {Kind.OWN, Kind.OTHERS}
    assert not evidence
    assert not evidence.take()


def test_who_joins_is_offered_what_came_up_since_the_siblings_were_read() -> None:
    evidence = Evidence()
    assert evidence.note(Kind.OWN)
    assert not evidence.note(Kind.OWN)
    assert not evidence
    assert evidence.is_unread
    evidence.siblings_read(some_joined=True)
    assert evidence.take() == {Kind.OWN}
    assert not evidence.is_unread
    evidence.siblings_read(some_joined=True)
    assert not evidence


def test_who_was_there_is_not_offered_it_again() -> None:
    evidence = Evidence()
    evidence.note(Kind.OWN)
    evidence.siblings_read(some_joined=False)
    assert not evidence
    assert not evidence.is_unread
    assert evidence.note(Kind.OWN)


@pytest.mark.parametrize(
    ("kinds", "pause"),
    [
        ([Kind.OTHERS], BETWEEN_HINTS),
        ([Kind.OWN], BETWEEN_ROUNDS),
        ([Kind.OTHERS, Kind.OWN], BETWEEN_ROUNDS),
    ],
)
def test_mere_hints_are_offered_less_often(kinds: list[Kind], pause: float) -> None:
    evidence = Evidence()
    for kind in kinds:
        evidence.add(kind)
    assert evidence.pause == pause
