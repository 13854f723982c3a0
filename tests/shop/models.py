"""What refers to tasks, in each way that Django has."""

from django.db import models


class Orders(models.Model):
    """Outlives its task."""

    task = models.ForeignKey("leek.QueuedTasks", null=True, on_delete=models.SET_NULL)


class Parcels(models.Model):
    """Is gone with its task, and refers to it without a name to find it by."""

    task = models.OneToOneField("leek.QueuedTasks", related_name="+", on_delete=models.CASCADE)


class Complaints(models.Model):
    """Is gone with the failure that it is about."""

    failure = models.ForeignKey("leek.FailedTasks", on_delete=models.CASCADE)


class Receipts(models.Model):
    """Keeps its task."""

    task = models.ForeignKey("leek.QueuedTasks", on_delete=models.PROTECT)
