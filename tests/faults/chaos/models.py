"""What tasks of the kind "count" write: a number, and who has added to it."""

from typing import ClassVar

from django.db import models


class Number(models.Model):
    """The one number that each of them adds one to."""

    value = models.PositiveIntegerField(default=0)

    objects: ClassVar[models.Manager["Number"]] = models.Manager()


class Counts(models.Model):
    """An addition, by a task under a claim. Nothing here refuses a second one of the same task."""

    task = models.BigIntegerField()
    owner = models.BigIntegerField()
    claim = models.BigIntegerField()

    objects: ClassVar[models.Manager["Counts"]] = models.Manager()
