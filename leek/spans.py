"""Makes spans with OpenTelemetry's API; `leek.tracing` imports this once the site uses that.

The attributes are those of its conventions for messaging:
https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, wraps
from typing import Any, TypeVar

from opentelemetry import propagate, trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, Tracer

from leek import __version__
from leek.outcome import Claimed, ErrorReport, Failure, Outcome, Retry
from leek.untraced import Ended, Row, Untraced, complain

Returned = TypeVar("Returned")

_OF_PUSHES = {
    "messaging.system": "leek",
    "messaging.operation.name": "push",
    "messaging.operation.type": "send",
}
_OF_ATTEMPTS = {
    "messaging.system": "leek",
    "messaging.operation.name": "run",
    "messaging.operation.type": "process",
}


def quietly(action: Callable[..., Returned]) -> Callable[..., Returned | None]:
    """Let a function return None where it raises: no push and no task fails for being traced."""

    @wraps(action)
    def tried(*args: Any) -> Returned | None:
        try:
            return action(*args)
        except Exception as error:  # noqa: BLE001 (exporters and samplers are anybody's)
            complain(error)
            return None

    return tried


class Pushing(Untraced):
    """The span of a push, which is current inside; `tell` it what was stored."""

    _span: Span | None = None
    _token: Any = None

    def __enter__(self) -> "Pushing":
        self._start()
        return self

    def __exit__(self, *raised: object) -> None:
        """End it."""
        self._detach()
        self._end(raised[1])

    def tell(self, rows: Sequence[Row]) -> None:
        """Note what was pushed."""
        self._tell(rows)

    @quietly
    def _start(self) -> None:
        span = _tracer().start_span("push", kind=SpanKind.PRODUCER, attributes=_OF_PUSHES)
        if span.get_span_context().is_valid:
            self._token = attach(trace.set_span_in_context(span))
            self._span = span

    @quietly
    def _tell(self, rows: Sequence[Row]) -> None:
        if self._span is None or not self._span.is_recording():
            return
        names, queues = {row.name for row in rows}, {row.queue for row in rows}
        facts: dict[str, str | int | bool] = {}
        if len(names) == 1:
            facts["leek.task.name"] = name = names.pop()
            self._span.update_name(f"push {name}")
        if len(queues) == 1:
            facts["messaging.destination.name"] = queues.pop()
        if len(rows) == 1:
            facts["messaging.message.id"] = str(rows[0].pk)
            facts["leek.duplicate"] = rows[0].duplicate
        else:
            facts["messaging.batch.message_count"] = len(rows)
        self._span.set_attributes(facts)

    @quietly
    def _detach(self) -> None:
        if self._token is not None:
            detach(self._token)

    @quietly
    def _end(self, error: object) -> None:
        if self._span is None:
            return
        if isinstance(error, BaseException):
            self._span.record_exception(error)
            self._span.set_attribute("error.type", type(error).__qualname__)
            self._span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
        self._span.end()


class Running(Untraced):
    """The span of an attempt, a child of the push's and linked to it.

    It stays current in the context that it is entered in, which ends with the attempt.
    """

    _span: Span | None = None

    def __init__(self, claimed: Claimed, kept: Mapping[str, str]) -> None:
        self._claimed = claimed
        self._kept = kept

    def __enter__(self) -> "Running":
        self._start()
        return self

    def __exit__(self, *raised: object) -> None:
        """End it; an attempt that tells of no outcome was torn down."""
        self._end(raised[1])

    def ended(self, outcome: Ended) -> Ended:
        """Note how the attempt ended, and return that."""
        self._note(outcome)
        return outcome

    @quietly
    def _start(self) -> None:
        parent = propagate.extract(self._kept, context=Context()) if self._kept else Context()
        pushed = trace.get_current_span(parent).get_span_context()
        span = _tracer().start_span(
            f"run {self._claimed.name}",
            context=parent,
            kind=SpanKind.CONSUMER,
            attributes=self._facts(),
            links=[Link(pushed)] if pushed.is_valid else None,
        )
        if self._kept or span.get_span_context().is_valid:
            attach(trace.set_span_in_context(span, parent))
            self._span = span

    def _facts(self) -> dict[str, str | int]:
        facts: dict[str, str | int] = {
            **_OF_ATTEMPTS,
            "messaging.message.id": str(self._claimed.id),
            "leek.task.name": self._claimed.name,
            "leek.attempt": self._claimed.attempt,
        }
        if queue := self._kept.get("queue"):
            facts["messaging.destination.name"] = queue
        return facts

    @quietly
    def _note(self, outcome: Outcome) -> None:
        if self._span is None or not self._span.is_recording():
            return
        self._span.set_attribute("leek.outcome", type(outcome).__name__.lower())
        if isinstance(outcome, Retry | Failure):
            self._note_error(self._span, outcome.error)

    def _note_error(self, span: Span, error: ErrorReport) -> None:
        span.add_event(
            "exception",
            {
                "exception.type": error.type,
                "exception.message": error.message,
                "exception.stacktrace": error.traceback,
            },
        )
        span.set_attribute("error.type", error.type)
        span.set_status(Status(StatusCode.ERROR, f"{error.type}: {error.message}"))

    @quietly
    def _end(self, error: object) -> None:
        if self._span is None:
            return
        if isinstance(error, BaseException):
            self._span.set_status(Status(StatusCode.ERROR, type(error).__qualname__))
        self._span.end()


@quietly
def carried() -> dict[str, str]:
    """Return what the site's propagator has to say of the current trace."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return {str(name): str(value) for name, value in carrier.items()}


def _tracer() -> Tracer:
    return _tracer_of(trace.get_tracer_provider())


@lru_cache(maxsize=1)
def _tracer_of(provider: trace.TracerProvider) -> Tracer:
    return provider.get_tracer("leek", __version__)
