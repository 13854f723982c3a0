"""What is promised of atomic tasks: what they write takes effect once."""

from collections import defaultdict
from collections.abc import Iterator

from tests.faults.chaos.checker.rules import rule
from tests.faults.chaos.evidence import Evidence


@rule("an atomic task did not take effect once")
def exactly_once(evidence: Evidence) -> Iterator[str]:
    """The number is that of the tasks that count and succeeded; each of them added to it once."""
    added = defaultdict(list)
    for count in evidence.tables.counts:
        added[count.task].append(f"owner {count.owner}, claim {count.claim}")
    wanted = evidence.counters
    if evidence.tables.number != len(wanted):
        yield f"the number is {evidence.tables.number}, after {len(wanted)} tasks that count"
    for task in sorted({*wanted, *added}):
        by = added[task]
        if len(by) != (task in wanted):
            tag = evidence.tags.get(task)
            yield f"task {task} {tag} counted {len(by)} times: {'; '.join(by) or 'nobody'}"
