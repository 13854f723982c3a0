"""How queues with weights share the workers. Pure: no clock, no database.

Each lane is an entry of the setting, and has a place on a scale: where its next task begins. A task
moves its lane on by one, divided by the weight, and the lane that is least far on is next. A lane
that had nothing for a while goes on from where the others are, so it is given no credit for that.
"""

from collections.abc import Collection, Mapping
from heapq import heapify, heapreplace


class Shares:
    """Says which lane is next, and how a number of tasks to be claimed is shared between lanes."""

    def __init__(self, weights: Mapping[str, int]) -> None:
        self._weights = weights
        self._places = dict.fromkeys(weights, 0.0)
        self._latest = 0.0  # where the task began that was taken last

    def next(self, lanes: Collection[str]) -> str:
        """Return which of these lanes the next task is to be from."""
        return min(lanes, key=self._place)

    def took(self, lane: str) -> None:
        """Note that a task of this lane was taken."""
        self._latest = self._place(lane)
        self._places[lane] = self._latest + 1 / self._weights[lane]

    def split(self, number: int, waiting: Mapping[str, int]) -> dict[str, int]:
        """Return how many tasks to claim for each of these lanes, where so many wait already."""
        places = [
            (self._place(lane) + there / self._weights[lane], position, lane)
            for position, (lane, there) in enumerate(waiting.items())
        ]
        heapify(places)
        shares = dict.fromkeys(waiting, 0)
        for _ in range(number):
            place, position, lane = places[0]
            heapreplace(places, (place + 1 / self._weights[lane], position, lane))
            shares[lane] += 1
        return {lane: share for lane, share in shares.items() if share}

    def _place(self, lane: str) -> float:
        return max(self._places[lane], self._latest)
