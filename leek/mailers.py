"""The site's mail backends, and which of them is behind leek's own.

From Django 6.1 on a mailer of MAILERS names the one behind it in its option `using`. Where there
are no MAILERS it is the backend that the setting EMAIL_BACKEND of TASKS_QUEUE has.
"""

from typing import Any

from django.conf import settings
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.utils.module_loading import import_string

from leek.conf import InvalidSetting, config

SMTP = "django.core.mail.backends.smtp.EmailBackend"

_DEFAULT = "default"  # the mailer that Django takes where none is named
_REMEDY = "Name the one that is to send the mails when their tasks are run."


class PushingBackend(BaseEmailBackend):
    """What leek's own mail backend is known by here.

    `using` is the mailer behind it, None where the settings name the backend behind.
    """

    using: str | None = None


def has_mailers() -> bool:
    """Tell whether the site names its mailers in MAILERS, and this Django knows that setting."""
    return hasattr(mail, "mailers") and hasattr(settings, "MAILERS")


def class_behind(using: str | None) -> Any:
    """Return the class of the backend behind leek's, which is this mailer's, if one is named.

    Raise InvalidSetting where there is none, or where it is leek's again.
    """
    where, path = _named(using)
    try:
        kind: Any = import_string(path)
    except ImportError as error:
        problem = f"{where} is {path!r}, which does not import: {error}."
        raise InvalidSetting(problem, _REMEDY) from error
    if _is_leeks(kind):
        problem = f"{where} is {path!r}: leek's mail backend would be behind itself."
        raise InvalidSetting(problem, _REMEDY)
    return kind


def behind(using: str | None, **own: Any) -> Any:
    """Return a new backend of those behind leek's, with arguments of a single call, if any.

    Raise as `class_behind` does.
    """
    if using is None and has_mailers():  # it was pushed before there were any
        return sending_backend()
    kind = class_behind(using)
    if using is None:
        return mail.get_connection(config.EMAIL_BACKEND, **own)
    if not own:
        return _mailers()[using]
    options = settings.MAILERS[using].get("OPTIONS", {}) | own
    return kind(alias=using, _ignore_unknown_kwargs={*own}, **options)  # as Django has them


def sending_backend(alias: str | None = None) -> Any:
    """Return a new backend of a mailer, or of the default one; what is behind it, if it is leek's.

    Before Django 6.1 that is the site's only backend.
    """
    if alias is None and not hasattr(mail, "mailers"):
        backend: Any = mail.get_connection()
    else:
        backend = _mailers()[alias or _DEFAULT]
    return behind(backend.using) if isinstance(backend, PushingBackend) else backend


def is_smtp(kind: Any) -> bool:
    """Tell whether a class of backends is Django's own that talks to an SMTP server."""
    return isinstance(kind, type) and issubclass(kind, import_string(SMTP))


def service_behind(using: str | None) -> str:
    """Return the service that stands for the SMTP server of a backend behind leek's."""
    return "smtp" if using in (None, _sending_alias()) else f"smtp:{using}"


def pushing_mailers() -> dict[str, Any]:
    """Return the classes of those backends of the site that are leek's, by the mailers' names.

    Where there are no MAILERS, the only one has no name but "".
    """
    if has_mailers():
        paths = {alias: entry.get("BACKEND", SMTP) for alias, entry in settings.MAILERS.items()}
    elif _chooses_backend():
        paths = {"": settings.EMAIL_BACKEND}
    else:
        paths = {}
    classes = {alias: _imported(path) for alias, path in paths.items()}
    return {alias: kind for alias, kind in classes.items() if _is_leeks(kind)}


def _chooses_backend() -> bool:
    """Tell whether the site has set EMAIL_BACKEND; Django 6.1 warns of a look at its default."""
    site: Any = settings
    return not hasattr(mail, "mailers") or bool(site.is_overridden("EMAIL_BACKEND"))


def _named(using: str | None) -> tuple[str, str]:
    """Return what names the backend behind leek's, and the path it names."""
    if using is None:
        return 'TASKS_QUEUE["EMAIL_BACKEND"]', config.EMAIL_BACKEND
    entries = settings.MAILERS if has_mailers() else {}
    if using not in entries:
        known = ", ".join(map(repr, entries)) or "none"
        problem = f"There is no mailer {using!r} to be behind leek's mail backend."
        raise InvalidSetting(problem, f"{_REMEDY} In MAILERS there are: {known}.")
    return f'MAILERS["{using}"]', entries[using].get("BACKEND", SMTP)


def _sending_alias() -> str:
    """Return the mailer that `sending_backend` takes where none is named."""
    if not has_mailers():
        return _DEFAULT
    entry = settings.MAILERS.get(_DEFAULT, {})
    leeks = _is_leeks(_imported(entry.get("BACKEND", SMTP)))
    return str(entry.get("OPTIONS", {}).get("using")) if leeks else _DEFAULT


def _imported(path: str) -> Any:
    """Return what is at a dotted path; None if it does not import, which Django tells of."""
    try:
        return import_string(path)
    except ImportError:
        return None


def _is_leeks(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, PushingBackend)


def _mailers() -> Any:
    return mail.mailers  # type: ignore[attr-defined,unused-ignore]
