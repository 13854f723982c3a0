"""What becomes of these tests where there is no browser."""

from pathlib import Path

from tests.support import python

A_TEST = "tests/browser/test_accessibility.py::test_contrast_is_looked_at_in_the_dark_too"


def test_without_a_browser_they_are_left_out_and_the_run_says_so(tmp_path: Path) -> None:
    done = python("-m", "pytest", A_TEST, PATH=str(tmp_path), TESTS_BROWSER="")
    assert done.returncode == 0, done.stdout
    assert (
        "The browser tests were left out. Skipped: no Chromium and ChromeDriver on this machine."
        in done.stdout
    )


def test_where_a_browser_is_required_they_fail_without(tmp_path: Path) -> None:
    done = python("-m", "pytest", A_TEST, PATH=str(tmp_path), TESTS_BROWSER="required")
    assert done.returncode == 1
    assert "no Chromium and ChromeDriver on this machine" in done.stdout
