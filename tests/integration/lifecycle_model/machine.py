"""What servers do to the queue: claim, run, give back, die, and rescue each other."""

from django.utils import timezone
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    initialize,
    multiple,
    precondition,
    rule,
)

from leek import agenda, leases, lifecycle
from leek.database import after
from leek.models import Servers, State
from leek.outcome import Claimed
from tests.integration.lifecycle_model.choices import (
    AGO,
    LATER,
    OUTCOMES,
    chosen_queues,
    endings,
    limits,
)
from tests.integration.lifecycle_model.comparison import FenceViolated
from tests.integration.lifecycle_model.model import MAX_CRASHES, Ending, fence_of
from tests.integration.lifecycle_model.site import Site, has

WasRunning = str | list[int]  # "all", "unknown", or the ids of tasks


class Queue(Site):
    """Servers on one queue: some are slow, some are dead, and some do not know that they are."""

    servers: Bundle[int] = Bundle("servers")
    claims: Bundle[Claimed] = Bundle("claims")
    what_was_running = st.sampled_from(["all", "unknown"]) | st.lists(Site.tasks, max_size=3)

    # Claim and settle

    @precondition(has(State.READY))
    @rule(target=claims, server=servers, limit=limits, queues=chosen_queues)
    def claim(self, server: int, limit: int, queues: list[str] | None) -> MultipleResults[Claimed]:
        """Take the most urgent tasks; a server may do so that does not know that it is dead."""
        return multiple(*self._claim(server, limit, queues))

    def _claim(self, server: int, limit: int, queues: list[str] | None) -> list[Claimed]:
        expected = self.model.next_ready(limit, queues)
        number = self.model.next_number(server)
        claimed = lifecycle.claim(server, number, limit, queues)
        assert [task.id for task in claimed] == [task.id for task in expected]
        self._note_claim(server, number, claimed)
        return claimed

    def _note_claim(self, server: int, number: int, claimed: list[Claimed]) -> None:
        assert not self.given & set(map(fence_of, claimed)), "a fence was given twice"
        self.given.update(map(fence_of, claimed))
        for task in claimed:
            known = self.model.tasks[task.id]
            self.model.claim(server, number, known)
            assert fence_of(task) == known.fence
            assert (task.tries, task.crashes) == (known.tries, known.crashes)
            assert task.suspect == known.is_suspect

    @precondition(lambda self: self.model.due(None, suspects=True))
    @rule(target=claims, server=servers, queues=chosen_queues, some=st.lists(endings, max_size=1))
    def claim_suspect(
        self, server: int, queues: list[str] | None, some: list[Ending]
    ) -> MultipleResults[Claimed]:
        """Take one suspect, whichever it is, and perhaps run it."""
        due = self.model.due(queues, suspects=True)
        number = self.model.next_number(server)
        claimed = lifecycle.claim_suspect(server, number, queues)
        assert len(claimed) == min(1, len(due))
        assert {task.id for task in claimed} <= {task.id for task in due}
        self._note_claim(server, number, claimed)
        self._settle(list(zip(claimed, some, strict=False)))
        return multiple(*claimed)

    @precondition(has(State.READY))
    @rule(target=claims, server=servers, limit=limits, some=st.lists(endings, min_size=1))
    def work(self, server: int, limit: int, some: list[Ending]) -> MultipleResults[Claimed]:
        """Take tasks and run as many as there are endings."""
        claimed = self._claim(server, limit, None)
        self._settle(list(zip(claimed, some, strict=False)))
        return multiple(*claimed)

    @precondition(has(State.READY))
    @rule(target=claims, server=servers, limit=limits, was_running=what_was_running)
    def crash(self, server: int, limit: int, was_running: WasRunning) -> MultipleResults[Claimed]:
        """Take tasks and die of some, to be rescued when the lease is over."""
        claimed = self._claim(server, limit, None)
        self._let_the_lease_end(server)
        self._rescue(server, was_running, even_if_renewed=False)
        return multiple(*claimed)

    @rule(first=claims, ending=endings, more=st.lists(st.tuples(claims, endings), max_size=3))
    def settle(self, first: Claimed, ending: Ending, more: list[tuple[Claimed, Ending]]) -> None:
        """Record outcomes in one transaction; some of their claims may have ended long ago."""
        ended = {fence_of(claimed): (claimed, ending) for claimed, ending in more}
        self._settle(list({**ended, fence_of(first): (first, ending)}.values()))

    def _settle(self, ended: list[tuple[Claimed, Ending]]) -> None:
        outcomes = [OUTCOMES[ending](claimed) for claimed, ending in ended]
        late = [claimed.id for claimed, _ in ended if not self.model.is_living(fence_of(claimed))]
        refused = lifecycle.settle(outcomes)
        verdicts = [self.model.settle(claimed, ending) for claimed, ending in ended]
        self.check_untouched(late)
        for outcome, verdict in zip(outcomes, verdicts, strict=True):
            if verdict is False and outcome not in refused:
                raise FenceViolated(f"accepted from a claim that had ended: {outcome}")
            assert not (verdict and outcome in refused)

    # Give back

    @rule(first=claims, more=st.lists(claims, max_size=3), by_number=st.booleans())
    def release(self, first: Claimed, more: list[Claimed], by_number: bool) -> None:
        """Give back what is still under these claims, or all that came with the first of them."""
        owner, number = first.owner, first.claim
        if by_number and owner is not None:
            given_back = lifecycle.release_claim(owner, number)
            self._compare(given_back, self.model.release_claim(owner, number))
            return
        claimed = list({fence_of(task): task for task in [first, *more]}.values())
        self._compare(lifecycle.release(claimed), self.model.release(map(fence_of, claimed)))

    @rule(server=servers, resigns=st.booleans())
    def release_all(self, server: int, resigns: bool) -> None:
        """Give back what a server has claimed, and perhaps end its lease."""
        self._compare(lifecycle.release_all(server), self.model.release_all(server))
        if resigns:
            leases.resign(server)
            self.model.leases.pop(server, None)

    def _compare(self, given_back: int, expected: int) -> None:
        if given_back > expected:
            raise FenceViolated(f"{given_back} tasks were given back, not {expected}")
        assert given_back == expected

    # Leases

    @initialize(target=servers)
    def start_the_first(self) -> MultipleResults[int]:
        """Register two servers to begin with."""
        return multiple(self._start(1, []), self._start(2, []))

    @precondition(lambda self: len(self.model.leases) < 3)
    @rule(target=servers, port=st.integers(1, 2), was_running=what_was_running)
    def start(self, port: int, was_running: WasRunning) -> int:
        """Register a server, and rescue what was left by the one that had its port."""
        return self._start(port, was_running)

    def _start(self, port: int, was_running: WasRunning) -> int:
        server = leases.register(
            address="127.0.0.1", port=port, workers=1, queues=None, seconds=LATER
        )
        found = {dead.pk for dead in leases.predecessors(server)}
        assert found == {pk for pk, lease in self.model.leases.items() if lease.port == port}
        for dead in found:
            self._rescue(dead, was_running, even_if_renewed=True)
        self.model.register(server.pk, port)
        return server.pk

    @rule(server=servers, in_time=st.booleans())
    def renew(self, server: int, in_time: bool) -> None:
        """Renew a lease if it is there, even if it is over; or let it end."""
        if not in_time:
            self._let_the_lease_end(server)
            return
        lease = self.model.leases.get(server)
        assert leases.renew(server, LATER) == (lease is not None)
        if lease:
            lease.is_over = False

    def _let_the_lease_end(self, server: int) -> None:
        Servers.objects.filter(pk=server).update(expires_at=after(AGO))
        if lease := self.model.leases.get(server):
            lease.is_over = True

    @rule(dead=servers, was_running=what_was_running, is_over=st.booleans())
    def rescue(self, dead: int, was_running: WasRunning, is_over: bool) -> None:
        """Rescue what a server left, unless it has renewed its lease, or was rescued before."""
        if is_over:
            self._let_the_lease_end(dead)
        self._rescue(dead, was_running, even_if_renewed=False)

    def _rescue(self, dead: int, chosen: WasRunning, *, even_if_renewed: bool) -> None:
        row, was_running = Servers(pk=dead, expires_at=timezone.now()), self._ids_of(chosen)
        rescued = lifecycle.rescue(row, was_running, MAX_CRASHES, even_if_renewed=even_if_renewed)
        lease = self.model.leases.get(dead)
        if lease is None or not (lease.is_over or even_if_renewed):
            assert rescued is None
        else:
            assert rescued == self.model.rescue(dead, was_running)

    @precondition(lambda self: self.model.orphaned(0))
    @rule(server=servers)
    def rescue_the_orphaned(self, server: int) -> None:
        """Give back what is claimed by a server without a lease."""
        for owner in agenda.orphaned(server):
            self._compare(lifecycle.release_all(owner), self.model.release_all(owner))
        assert not self.model.orphaned(server)

    def _ids_of(self, chosen: WasRunning) -> list[int] | None:
        match chosen:
            case "unknown":
                return None
            case list():
                return chosen
        return list(self.model.tasks)
