"""A short outage of the mail server, on this kind of database."""

from django.db import connection

from tests.support import python


def test_an_outage_of_the_mail_server_costs_nothing() -> None:
    database = ("--database", connection.vendor)
    answer = python("-m", "tests.faults.outage", *database, "--mails", "50", "--minutes", "0")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "Mails: 20 pushed before, 50 meanwhile, 70 delivered in the end\n" in answer.stdout
    assert "Failed tasks: 0; failed attempts: 0; " in answer.stdout
