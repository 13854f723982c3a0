"""How a process of Celery's has leek_server look."""

from leek import hinting
from leek.server.alarm import Alarm


class HintingAlarm(Alarm):
    """Tells `leek_server` what a server's own threads tell their dispatcher."""

    def work_is_ready(self) -> None:
        """Have ready rows claimed now."""
        hinting.hint()

    def agenda_changed(self) -> None:
        """Have the due times looked at now: after a hint for nothing they are."""
        hinting.hint()
