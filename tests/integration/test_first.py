from leek.api import push_task_to_queue
from tests.site.tasks import add


def test_runs(start_server):
    start_server()
    row = push_task_to_queue(add, 1, 2)
    assert row.wait(20) == 3
