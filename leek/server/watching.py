"""Watches the site's code, with Django's autoreloader."""

import os
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import django.template.autoreload  # noqa: F401 (so that templates are watched before they are used)
from django.utils.autoreload import BaseReloader, StatReloader, autoreload_started, file_changed

from leek.server.journal import journal

StrPath = str | os.PathLike[str]

INSTALLED = {"site-packages", "dist-packages"}
STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib")).resolve()


class CodeWatch(StatReloader):
    """A thread that calls `on_change`, once, when a file of the code has changed.

    A changed template is read anew, as by `runserver`; with `templates_too` it counts as code,
    since child processes would not hear of it.
    """

    def __init__(self, on_change: Callable[[], None], *, templates_too: bool = False) -> None:
        super().__init__()
        self._on_change = on_change
        self._templates_too = templates_too

    def start(self) -> None:
        """Watch in a thread of its own."""
        threading.Thread(target=self._run, name="leek-watch", daemon=True).start()

    def _run(self) -> None:
        autoreload_started.send(sender=self)
        self.run_without_site()

    def run_without_site(self) -> None:
        """Watch in this thread, also where Django could not be set up; return after a change."""
        watch_site(self)
        while not self.should_stop:
            try:
                self.run_loop()
            except KeyError:  # a module's import failed just as all modules were listed
                continue

    def notify_file_changed(self, path: StrPath) -> None:
        """Tell of the first change, unless what keeps the file in mind can read it anew."""
        answers = file_changed.send(sender=self, file_path=path)
        if self.should_stop or (any(taken for _, taken in answers) and not self._templates_too):
            return
        self.stop()
        journal.info("%s has changed", path)
        self._on_change()


def watch_site(sender: BaseReloader, **kwargs: Any) -> None:
    """Have all files of the site's packages watched, whether this process has imported them or not.

    Those of tasks may be imported later, or by child processes only, or as soon as they are mended.
    """
    for folder, pattern in set(_places()):
        sender.watch_dir(folder, pattern)


def _places() -> Iterator[tuple[Path, str]]:
    """Yield folders and patterns of the site's own modules and packages, by what is imported."""
    for name, module in tuple(sys.modules.items()):
        if "." in name:
            continue
        if folders := tuple(getattr(module, "__path__", ())):
            places = [(Path(folder), "**/*.py") for folder in folders]
        elif file := getattr(module, "__file__", None):
            places = [(Path(file).parent, "*.py")]
        else:
            continue
        yield from (place for place in places if _is_the_sites(place[0].resolve()))


def _is_the_sites(folder: Path) -> bool:
    return not INSTALLED.intersection(folder.parts) and STANDARD_LIBRARY not in (
        folder,
        *folder.parents,
    )
