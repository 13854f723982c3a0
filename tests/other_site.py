"""Functions that are run by a site with settings of its own, in a process of its own."""

import subprocess
import sys
from collections.abc import Callable

from tests.support import GIVE_UP_AFTER, ROOT, environment


def run_at(settings: str, function: Callable[[], None], **extra: str) -> None:
    """Run a function of a module at the site that has these settings; fail if it raises."""
    module, name = function.__module__, function.__qualname__
    answer = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import django; django.setup(); import {module}; {module}.{name}()",
        ],
        env=environment(DJANGO_SETTINGS_MODULE=settings, **extra),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=GIVE_UP_AFTER,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
