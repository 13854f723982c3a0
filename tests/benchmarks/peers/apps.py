"""The application of the common site."""

from importlib import import_module

from django.apps import AppConfig

from tests.benchmarks.peers.catalogue import peer_of_this_process


class PeersConfig(AppConfig):
    """Import the task where the site is set up, as the peers' autodiscovery would."""

    name = "tests.benchmarks.peers"

    def ready(self) -> None:
        """Import the task."""
        import_module(f"tests.benchmarks.peers.tasks.{peer_of_this_process().tasks}")
