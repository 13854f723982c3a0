"""What the site's tasks write, so that the tests can see that they ran."""

from django.db import models


class Runs(models.Model):
    """One run of a task, written by the task itself, outside the queue's tables."""

    tag = models.CharField(max_length=100)
    process = models.PositiveIntegerField()
    at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.tag
