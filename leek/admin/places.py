"""Where tasks are to wait, as a form asks for it."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from leek.exceptions import InvalidTask
from leek.policy_kinds import HIGHEST_PRIORITY, LOWEST_PRIORITY, checked
from leek.queues import LONGEST_NAME


class PlaceForm(forms.Form):
    """Asks for a queue, a priority, or both, as a push takes them."""

    queue = forms.CharField(
        label=gettext_lazy("queue"), max_length=LONGEST_NAME, required=False, strip=False
    )
    priority = forms.IntegerField(
        label=gettext_lazy("priority"),
        min_value=LOWEST_PRIORITY,
        max_value=HIGHEST_PRIORITY,
        required=False,
    )

    def clean(self) -> dict[str, Any]:
        """Raise ValidationError where nothing is asked for, or what a push would refuse."""
        cleaned = super().clean() or {}
        if not self.errors and self.place == (None, None):
            raise ValidationError(_("Give a queue, a priority, or both."))
        return cleaned

    def clean_queue(self) -> str | None:
        """Return the name of the queue; None where it is left out."""
        name = self.cleaned_data["queue"] or None
        try:
            checked("queue", name)
            (name or "").encode()
        except (InvalidTask, UnicodeEncodeError) as error:
            raise ValidationError(_("This is no name of a queue.")) from error
        return name

    @property
    def place(self) -> tuple[str | None, int | None]:
        """The queue and the priority; None stands for what is to stay."""
        return self.cleaned_data.get("queue"), self.cleaned_data.get("priority")
