"""How many rows are purged, or pushed back, in one transaction."""

from leek.upkeep import FIRST_BATCH, LARGEST_BATCH, SOON, BatchSize


def size_after(*seconds: float) -> int:
    """Return the size of the batch after some that took so long."""
    size = BatchSize()
    for duration in seconds:
        size.took(duration)
    return size.rows


def test_short_batches_grow_up_to_the_largest() -> None:
    assert size_after(0.0) == 2 * FIRST_BATCH
    assert size_after(*[0.0] * 20) == LARGEST_BATCH


def test_long_batches_shrink_down_to_a_row() -> None:
    assert size_after(1.01 * SOON) == FIRST_BATCH // 2
    assert size_after(*[60.0] * 20) == 1


def test_batches_that_took_about_the_right_time_stay_as_they_are() -> None:
    assert size_after(SOON) == FIRST_BATCH
    assert size_after(SOON / 2) == FIRST_BATCH


def test_batches_grow_again_after_a_slow_moment() -> None:
    assert size_after(60.0, 0.0) == FIRST_BATCH


def test_batches_may_take_longer_where_that_is_said() -> None:
    size = BatchSize(soon=60.0)
    size.took(60.0)
    assert size.rows == FIRST_BATCH
    size.took(61.0)
    assert size.rows == FIRST_BATCH // 2
