"""One host of a network."""

import os
import subprocess
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from tests.faults.hosts import namespaces


class Host:
    """A host: a name and an address on its network, and a temporary directory of its own.

    A command with `prefix` before it runs there, as the same process. It finds hosts by the names
    in `names`, and by no others.
    """

    def __init__(self, name: str, address: str, namespace: str, folder: Path) -> None:
        self.name = name
        self.address = address
        self.namespace = namespace
        self.prefix = namespaces.prefix(namespace)
        self.temporary = folder / name
        self.temporary.mkdir()
        self.names: dict[str, str] = {}
        self._processes: list[subprocess.Popen[Any]] = []
        namespaces.create(namespace)
        namespaces.seen_in(namespace, "resolv.conf").write_text("")
        self.know({"localhost": "127.0.0.1", name: address})

    def __str__(self) -> str:
        return self.name

    def know(self, names: Mapping[str, str]) -> None:
        """Have names lead to these addresses from now on, for processes that run as well."""
        self.names |= names
        lines = [f"{address} {name}\n" for name, address in self.names.items()]
        namespaces.seen_in(self.namespace, "hosts").write_text("".join(lines))

    def entered(self) -> AbstractContextManager[None]:
        """Have this thread, and what it starts, on this host; it does not know `names`."""
        return namespaces.entered(self.namespace)

    def environment(self, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Return an environment with this host's temporary directory: no host sees another's."""
        return {**environment, "TMPDIR": str(self.temporary)}

    def start(self, *command: str, env: Mapping[str, str], **options: Any) -> subprocess.Popen[Any]:
        """Start a process on this host; it ends with the host."""
        process = subprocess.Popen([*self.prefix, *command], env=self.environment(env), **options)
        self._processes.append(process)
        return process

    def remove(self) -> None:
        """End all that runs here, and delete the host; twice is safe."""
        for process in self._processes:  # also one that is just about to enter
            process.kill()
            process.wait()
        namespaces.delete(self.namespace)
