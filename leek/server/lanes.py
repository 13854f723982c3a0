"""Python's priority queue, with lanes that share what is taken out of it."""

from collections.abc import Iterable, Mapping
from heapq import heapify, heappop, heappush
from itertools import chain
from queue import PriorityQueue

from leek.outcome import Claimed
from leek.server.shares import Shares

Entry = tuple[int, int, Claimed | None, str | None]  # the smallest is first; the last is its lane


class LaneQueue(PriorityQueue[Entry]):
    """Hands out the entries without a lane first, then those of the lane that is next."""

    def __init__(self, weights: Mapping[str, int]) -> None:
        super().__init__()
        self._shares = Shares(weights)
        self._lanes: dict[str, list[Entry]] = {lane: [] for lane in weights}
        self._in_lanes = 0

    def split(self, number: int, lanes: Iterable[str]) -> dict[str, int]:
        """Return how many more entries each of these lanes should get."""
        with self.mutex:
            return self._shares.split(number, {lane: len(self._lanes[lane]) for lane in lanes})

    def clear(self) -> list[Entry]:
        """Take out all entries, in the order of one lane; this does not count for the shares."""
        with self.mutex:
            entries = sorted(chain(self.queue, *self._lanes.values()))
            for lane in (self.queue, *self._lanes.values()):
                lane.clear()
            self._in_lanes = 0
        for _ in entries:
            self.task_done()
        return entries

    def take_out(self, task_id: int) -> Entry | None:
        """Take out the entry of a task, if there is one; this does not count for the shares."""
        with self.mutex:
            for lane in (self.queue, *self._lanes.values()):
                for entry in lane:
                    if entry[1] == task_id:
                        lane.remove(entry)
                        heapify(lane)
                        self._in_lanes -= lane is not self.queue
                        return entry
        return None

    # What queue.Queue calls while it holds its mutex

    def _qsize(self) -> int:
        return len(self.queue) + self._in_lanes

    def _put(self, item: Entry) -> None:
        if (lane := item[-1]) is None:
            heappush(self.queue, item)
        else:
            heappush(self._lanes[lane], item)
            self._in_lanes += 1

    def _get(self) -> Entry:
        if self.queue:
            return heappop(self.queue)
        lane = self._shares.next([lane for lane, entries in self._lanes.items() if entries])
        self._shares.took(lane)
        self._in_lanes -= 1
        return heappop(self._lanes[lane])
