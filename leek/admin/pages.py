"""The pages of a list that is counted up to a bound only."""

from collections.abc import Iterator
from typing import Any

from django.core.paginator import Paginator

from leek.admin.wording import count
from leek.figures import Number


class AtLeast(int):
    """A number that is shown as "500,000+"."""

    def __str__(self) -> str:
        return count(Number(self, is_capped=True))


class LastKnown(int):
    """The number of the last page that is known, in an address as usual, and shown with a plus."""

    def __html__(self) -> str:
        return str(AtLeast(self))


class Pages(Paginator):  # type: ignore[type-arg]
    """The pages of so many rows; if it is AtLeast so many, the last page is not the end."""

    def __init__(self, count: int, per_page: int) -> None:
        super().__init__(range(count), per_page)
        self._is_bounded = isinstance(count, AtLeast)

    def get_elided_page_range(self, *args: Any, **kwargs: Any) -> Iterator[str | int]:
        """Return the numbers of the pages that are linked."""
        for number in super().get_elided_page_range(*args, **kwargs):
            is_last = self._is_bounded and number == self.num_pages
            yield LastKnown(number) if is_last else number
