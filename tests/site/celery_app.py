"""A Celery app of the tests' site, whose broker is a folder."""

from pathlib import Path

from celery import Celery
from environ import Env

folder = Path(Env().str("TESTS_BROKER"))
for name in ("messages", "control"):
    (folder / name).mkdir(parents=True, exist_ok=True)

app = Celery("tests", set_as_current=False)
app.conf.update(
    broker_url="filesystem://",
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
