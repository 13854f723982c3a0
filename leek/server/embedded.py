"""A server inside `manage.py runserver`, so that a developer needs one terminal."""

import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.apps import apps
from django.utils.autoreload import autoreload_started, file_changed, trigger_reload

from leek.conf import InvalidSetting, config
from leek.exceptions import LeekError
from leek.server.configured import log_to_stderr
from leek.server.listener import PortInUse
from leek.server.listening import NoPlaceHere
from leek.server.supervisor import Supervisor
from leek.server.watching import watch_site

AT_A_STOP = 0.1  # seconds for running tasks: Django kills its child 0.25 s after Ctrl-C
READY_IS_AWAITED_FOR = 0.1  # seconds, between two looks whether the process ends instead


def start(make_supervisor: Callable[[Mapping[str, Any]], Supervisor]) -> None:
    """Start a server, made of flags and settings, that stops with this process."""
    autoreload_started.connect(watch_site)
    with suppress(InvalidSetting):  # runserver's own checks tell of it
        if config.ISOLATE:
            file_changed.connect(_reload)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:  # the autoreloader sets the same
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # Python waits for this thread when the process ends, unlike for daemons.
    threading.Thread(
        target=_run, args=[make_supervisor], name="leek-runserver", daemon=False
    ).start()


def _reload(file_path: Path, **kwargs: object) -> None:
    """Reload for templates, too: child processes would keep those that they have read."""
    trigger_reload(str(file_path))


def _run(make_supervisor: Callable[[Mapping[str, Any]], Supervisor]) -> None:
    if not _apps_get_ready():
        return
    log_to_stderr(1)
    try:
        timeout = min(config.SHUTDOWN_TIMEOUT, AT_A_STOP)
        supervisor = make_supervisor({"shutdown_timeout": timeout})
    except InvalidSetting:
        return
    except PortInUse as error:
        _say(f"No leek_server is started here: {error}. Tasks are left to what listens there.")
    except NoPlaceHere as error:
        _say(f"No leek_server is started here: {error}.")
    except OSError as error:
        _say(f"No leek_server is started here: it cannot listen at {config.TASKS_HOST}: {error}.")
    except LeekError as error:
        _say(f"No leek_server is started here: {error}")
    else:
        threading.Thread(target=_stop_with_process, args=[supervisor], daemon=True).start()
        supervisor.run(lambda host, port: _say(f"leek_server is ready at {host}:{port}"))


def _apps_get_ready() -> bool:
    """Wait for all apps; return False if the process ends before."""
    while not apps.ready_event.wait(READY_IS_AWAITED_FOR):
        if not threading.main_thread().is_alive():
            return False
    return True


def _stop_with_process(supervisor: Supervisor) -> None:
    """Stop the server when the main thread has ended: by a reload, or by Ctrl-C.

    That is before Python's `atexit`, where no thread can be started any more.
    """
    threading.main_thread().join()
    supervisor.ask_to_stop()


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 (beside what runserver prints)
