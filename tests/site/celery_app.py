"""A Celery app of the tests' site, whose broker is a folder."""

from pathlib import Path
from queue import Empty
from typing import Any

from celery import Celery
from environ import Env
from kombu.transport import filesystem


class Channel(filesystem.Channel):  # type: ignore[misc]
    """Loses a message that is taken before it is written, which would end a worker of Celery."""

    def _get(self, queue: str) -> Any:
        try:
            return super()._get(queue)
        except ValueError:
            raise Empty from None


class Transport(filesystem.Transport):  # type: ignore[misc]
    """Celery's folder, with those channels."""

    Channel = Channel


folder = Path(Env().str("TESTS_BROKER"))
for name in ("messages", "control"):
    (folder / name).mkdir(parents=True, exist_ok=True)

app = Celery("tests", set_as_current=False)
app.conf.update(
    broker_url="filesystem://",
    broker_transport="tests.site.celery_app:Transport",
    broker_transport_options={
        "data_folder_in": str(folder / "messages"),
        "data_folder_out": str(folder / "messages"),
        "control_folder": str(folder / "control"),
    },
    task_create_missing_queues=Env().bool("TESTS_CREATE_QUEUES", True),
    task_ignore_result=True,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)
