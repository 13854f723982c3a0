"""A short run of the fuzz, always with the same inputs."""

import pytest

from tests.conftest import StartServer
from tests.faults.footprint import IS_TOLD
from tests.faults.fuzz.trial import fuzz


@pytest.mark.any_database
@pytest.mark.skipif(not IS_TOLD, reason="only Linux tells what a process holds")
def test_no_input_costs_anybody_but_its_sender(start_server: StartServer) -> None:
    verdict = fuzz(start_server(), 4000, seed=1, pushes=10)
    assert verdict.inputs >= 4000
    assert not verdict.problems, str(verdict)
