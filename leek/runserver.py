"""Whether this process is `manage.py runserver`, and is to run tasks as well."""

import os
import sys

from django.conf import settings
from django.utils.autoreload import DJANGO_AUTORELOAD_ENV

from leek.conf import InvalidSetting, config


def wants_server() -> bool:
    """Tell whether a server is to be started inside this process."""
    if not (settings.DEBUG and _serves_the_site()):
        return False
    try:
        return config.RUNSERVER
    except InvalidSetting:  # runserver's own checks tell of it
        return False


def _serves_the_site() -> bool:
    """Tell whether this process of `runserver` answers requests.

    It is not the one that only waits for reloads, nor a child process that has taken over the
    command line of its parent.
    """
    if sys.argv[1:2] != ["runserver"] or "runserver" not in sys.orig_argv:
        return False
    return os.environ.get(DJANGO_AUTORELOAD_ENV) == "true" or "--noreload" in sys.argv
