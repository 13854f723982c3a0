"""Mail backends that cannot work are named by a check, and refused where they are asked for."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core import mail
from django.core.checks import CheckMessage
from django.core.checks.registry import registry

from leek.checks import check_mail, check_settings
from leek.conf import InvalidSetting
from leek.mail import EmailBackend
from tests.mailing import HAS_MAILERS, LEEK, mailers

since_mailers = pytest.mark.skipif(not HAS_MAILERS, reason="Django 6.1 brought MAILERS")
before_mailers = pytest.mark.skipif(HAS_MAILERS, reason="MAILERS are in the place of this setting")

SMTP = {"host": "127.0.0.1", "port": 25}


class Wrong(EmailBackend):
    """Has an option that cannot be used."""

    options = {"priority": 1000}


class Again(EmailBackend):
    """Is leek's, too."""


def errors() -> list[CheckMessage]:
    """Return the errors that the checks report of mails."""
    return [*check_settings(None), *check_mail(None)]


def assert_refused(ask: Callable[[], object], problem: str, remedy: str) -> None:
    """Assert that a check reports one error like this, and that asking for the backend does."""
    (error,) = errors()
    assert error.id == "leek.E008"
    assert problem in error.msg
    assert remedy in str(error.hint)
    with pytest.raises(InvalidSetting) as refused:
        ask()
    assert str(refused.value) == f"{error.msg} {error.hint}"


def test_django_runs_the_check() -> None:
    assert check_mail in registry.registered_checks


def test_a_site_without_leeks_backend_passes() -> None:
    assert errors() == []


# The setting


@before_mailers
class TestSetting:
    """EMAIL_BACKEND is leek's, TASKS_QUEUE["EMAIL_BACKEND"] is behind it."""

    @pytest.fixture(autouse=True)
    def pushing(self, settings: Any) -> None:
        settings.EMAIL_BACKEND = LEEK

    @pytest.mark.parametrize("name", ["smtp", "console", "locmem"])
    def test_backends_that_send_pass(self, settings: Any, name: str) -> None:
        assert errors() == []
        path = f"django.core.mail.backends.{name}.EmailBackend"
        settings.TASKS_QUEUE = {"EMAIL_BACKEND": path}
        assert errors() == []

    @pytest.mark.parametrize("path", [LEEK, f"{__name__}.Again"])
    def test_leeks_own_is_not_behind_itself(self, settings: Any, path: str) -> None:
        settings.TASKS_QUEUE = {"EMAIL_BACKEND": path}
        problem = f"TASKS_QUEUE[\"EMAIL_BACKEND\"] is '{path}': leek's mail backend would be"
        assert_refused(mail.get_connection, problem, "Name the one that is to send")

    def test_options_of_a_subclass_are_checked(self, settings: Any) -> None:
        settings.EMAIL_BACKEND = f"{__name__}.Wrong"
        assert_refused(mail.get_connection, "Wrong: priority is 1000", "leek.api.using")

    def test_mailers_are_not_known(self) -> None:
        with pytest.raises(InvalidSetting, match="no mailer 'smtp'"):
            EmailBackend(using="smtp")


@pytest.mark.parametrize("value", ["smtp", 7, None, "nowhere.EmailBackend", "django.core.mail"])
def test_a_wrong_setting_is_one_error(settings: Any, value: object) -> None:
    settings.TASKS_QUEUE = {"EMAIL_BACKEND": value}
    if not HAS_MAILERS:
        settings.EMAIL_BACKEND = LEEK
    (error,) = errors()
    assert error.id == "leek.E003"
    assert f'TASKS_QUEUE["EMAIL_BACKEND"] is {value!r}' in error.msg
    assert "mail backend" in str(error.hint)


# Mailers


def default() -> Any:
    """Ask for the default mailer."""
    return mail.mailers.default  # type: ignore[attr-defined,unused-ignore]


@since_mailers
class TestMailers:
    """A mailer of MAILERS is leek's, and names another one as `using`."""

    def test_a_mailer_that_sends_passes(self, settings: Any) -> None:
        settings.MAILERS = mailers(SMTP, queue="mail", run_after=None, max_retries=9)
        assert errors() == []

    def test_a_mailer_has_to_be_named(self, settings: Any) -> None:
        settings.MAILERS = mailers(SMTP) | {"default": {"BACKEND": LEEK}}
        problem = 'MAILERS["default"] names no mailer behind leek\'s.'
        assert_refused(default, problem, '"using": "..."')
        with pytest.raises(InvalidSetting, match="EmailBackend names no mailer"):
            EmailBackend()

    def test_it_has_to_be_there(self, settings: Any) -> None:
        settings.MAILERS = mailers(SMTP, using="smpt")
        assert_refused(default, "There is no mailer 'smpt'", "there are: 'default', 'smtp'.")

    @pytest.mark.parametrize("path", [LEEK, f"{__name__}.Again"])
    def test_it_is_not_leeks_own_again(self, settings: Any, path: str) -> None:
        settings.MAILERS = mailers(SMTP, using="again") | {
            "again": {"BACKEND": path, "OPTIONS": {"using": "smtp"}}
        }
        problem = f"MAILERS[\"again\"] is '{path}': leek's mail backend would be behind itself"
        assert_refused(default, problem, "Name the one that is to send")

    def test_it_is_not_itself(self, settings: Any) -> None:
        settings.MAILERS = mailers(SMTP, using="default")
        assert_refused(default, 'MAILERS["default"] is', "Name the one that is to send")

    def test_it_has_to_import(self, settings: Any) -> None:
        settings.MAILERS = mailers(SMTP) | {"smtp": {"BACKEND": "nowhere.EmailBackend"}}
        problem = "MAILERS[\"smtp\"] is 'nowhere.EmailBackend', which does not import"
        assert_refused(default, problem, "Name the one that is to send")

    @pytest.mark.parametrize(("name", "value"), [("host", "localhost"), ("unique", "key")])
    def test_options_have_to_be_known(self, settings: Any, name: str, value: object) -> None:
        settings.MAILERS = mailers(SMTP, **{name: value})
        problem = f'MAILERS["default"] has unknown options: {name}.'
        assert_refused(default, problem, "There are: using, max_retries")

    @pytest.mark.parametrize(("name", "value"), [("priority", 1000), ("run_after", "later")])
    def test_options_have_to_be_right(self, settings: Any, name: str, value: object) -> None:
        settings.MAILERS = mailers(SMTP, **{name: value})
        assert_refused(default, f'MAILERS["default"]: {name} is {value!r}', "leek.api.using")

    def test_every_mailer_is_looked_at(self, settings: Any) -> None:
        settings.MAILERS = mailers(SMTP, using="a") | {
            "bulk": {"BACKEND": f"{__name__}.Wrong", "OPTIONS": {"using": "smtp"}},
            "of somebody else": {"BACKEND": "nowhere.EmailBackend"},
        }
        assert [error.id for error in errors()] == ["leek.E008"] * 2
