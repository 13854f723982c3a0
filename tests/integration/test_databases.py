"""What databases can do."""

import pytest
from django.db import IntegrityError, connection
from django.utils import timezone

from leek import lifecycle
from leek.api import push_many, push_task_to_queue
from leek.models import QueuedTasks
from tests.site.tasks import echo, noop
from tests.support import ROOT


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("returns_ids", [True, False])
class TestPushManyWhateverTheDatabaseReturns:
    """MySQL does not return the ids of many rows, MariaDB and the others do."""

    @pytest.fixture(autouse=True)
    def _as_such_a_database(self, returns_ids: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        features = connection.features
        if not returns_ids:
            monkeypatch.setattr(type(features), "can_return_rows_from_bulk_insert", False)
        elif not features.can_return_rows_from_bulk_insert:
            pytest.skip("this database does not return the ids of many rows")

    def test_the_rows_have_their_ids(self, port: int) -> None:
        rows = push_many([(echo, (number,), {}) for number in range(3)])
        stored = QueuedTasks.objects.order_by("pk")
        assert [row.pk for row in rows] == [row.pk for row in stored]
        assert [row.payload for row in rows] == [row.payload for row in stored]

    def test_none_is_stored_where_one_cannot_be(self, port: int) -> None:
        first = push_task_to_queue(noop)
        now = timezone.now()
        rows = [
            QueuedTasks(pk=pk, name="x", payload="x", run_after=now, pushed_at=now)
            for pk in (None, first.pk)
        ]
        with pytest.raises(IntegrityError):
            lifecycle.push_many(rows)
        assert QueuedTasks.objects.get() == first


def test_only_one_module_asks_what_a_database_can_do() -> None:
    asking = [
        path.name
        for path in (ROOT / "leek").rglob("*.py")
        if any(
            word in path.read_text() for word in ("connection.features", "].features", ".vendor")
        )
    ]
    assert asking == ["database.py"]
