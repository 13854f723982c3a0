"""OpenTelemetry, set up as a site does it: each span is a line of a file."""

import asyncio
from pathlib import Path

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from leek.api import policy, push_task_to_queue


def write_to(file: str) -> None:
    """Write the spans of this process to a file, as soon as they end."""
    out = Path(file).open("a", buffering=1)  # noqa: SIM115 (until the process ends)
    provider = TracerProvider()
    exporter = ConsoleSpanExporter(out=out, formatter=_as_line)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)


def _as_line(span: ReadableSpan) -> str:
    return f"{span.to_json(indent=None)}\n"


def tell_of_the_span() -> list[str]:
    """Return the trace and the span that the task is in, as hexadecimal numbers."""
    context = trace.get_current_span().get_span_context()
    return [f"0x{context.trace_id:032x}", f"0x{context.span_id:016x}"]


async def tell_of_the_span_slowly() -> list[str]:
    """Do so while other tasks run on the same event loop."""
    await asyncio.sleep(0.01)
    return await asyncio.to_thread(tell_of_the_span)


@policy(atomic=True, queue="books")
def tell_of_the_span_atomically() -> list[str]:
    """Do so in a transaction."""
    return tell_of_the_span()


def push_another() -> int:
    """Push a task, and return its id."""
    return int(push_task_to_queue(tell_of_the_span).pk)
