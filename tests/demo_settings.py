"""The demo's settings, with which its tasks wait before a try while a test holds them."""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from testproject.settings import *  # noqa: F403

from leek.signals import task_started

HELD = Path(os.environ["TESTS_HELD"])  # a file: the number of the try that is held


def wait_while_held(attempt: int, **told: Any) -> None:
    """Wait as long as tries of this number are held."""
    with suppress(FileNotFoundError):
        while HELD.read_text() == str(attempt):
            time.sleep(0.005)


task_started.connect(wait_while_held)
