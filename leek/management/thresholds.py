"""How old and how many tasks may be before it is worth an alarm."""

from dataclasses import dataclass

from leek.status import Figures


@dataclass(frozen=True)
class Thresholds:
    """The longest time in seconds that a task may wait, and how many may have failed; or None."""

    max_age: float | None = None
    max_failed: int | None = None

    @property
    def are_given(self) -> bool:
        """Whether there is any."""
        return self.max_age is not None or self.max_failed is not None

    def exceeded(self, figures: Figures) -> str | None:
        """Return which of them are exceeded and by how much, in one line."""
        age, failed, found = figures.oldest_waiting or 0.0, int(figures.failed), []
        if self.max_age is not None and age > self.max_age:
            more = f"{age - self.max_age:.1f} s more than --max-age {self.max_age:g}"
            found.append(f"The oldest waiting task has waited {age:.1f} s, {more}.")
        if self.max_failed is not None and failed > self.max_failed:
            more = f"{failed - self.max_failed:,} more than --max-failed {self.max_failed}"
            found.append(f"{failed:,} {'tasks have' if failed > 1 else 'task has'} failed, {more}.")
        return " ".join(found) or None
