"""The event loop of async tasks, and the thread of their database connections."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextlib import AsyncExitStack
from contextvars import Context, ContextVar
from typing import Any, TypeVar, TypeVarTuple
from weakref import WeakSet

from asgiref.sync import ThreadSensitiveContext, sync_to_async

from leek.connections import distrust_connections, refresh_connections
from leek.server.service import IDLE_TOO_LONG, give_up_connections

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_NEVER = float("-inf")
_offspring: ContextVar["WeakSet[asyncio.Task[Any]]"] = ContextVar("leek_offspring")


class Loop(asyncio.SelectorEventLoop):
    """Runs coroutines as if each were alone: in a context of its own; what it starts ends with it.

    What is not async, as the ORM is, asgiref runs in one thread for all of them. The connections of
    that thread are kept healthy, at no cost as long as no coroutine needs it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._context = Context()  # of which each coroutine gets a copy
        self._one_thread = AsyncExitStack()
        self._errands: set[asyncio.Task[None]] = set()
        self._used_at = _NEVER  # the thread, by a coroutine
        self._is_used = False  # since the connections were refreshed
        enter = self._one_thread.enter_async_context(ThreadSensitiveContext())
        self.create_task(enter, context=self._context)

    def begin(
        self, function: Callable[[*Ts], Coroutine[Any, Any, T]], *args: *Ts
    ) -> "asyncio.Task[T]":
        """Have a coroutine function run."""
        if time.monotonic() - self._used_at > IDLE_TOO_LONG:
            self._send(distrust_connections)
        task: asyncio.Task[T] = self.create_task(
            self._run_alone(function, *args), context=self._context.copy()
        )
        return task

    def end(self) -> None:
        """Cancel what runs, close the connections and the loop, and wait for all its threads."""
        with asyncio.Runner(loop_factory=lambda: self) as runner:
            runner.run(self._end_thread(), context=self._context)

    async def _run_alone(self, function: Callable[[*Ts], Coroutine[Any, Any, T]], *args: *Ts) -> T:
        offspring: WeakSet[asyncio.Task[Any]] = WeakSet()
        _offspring.set(offspring)
        try:
            return await function(*args)
        finally:  # nothing here may wait: somebody may have cancelled this
            for task in offspring:
                task.cancel()
            if self._is_used:
                self._is_used = False
                self._send(_refresh_or_give_up)

    def create_task(self, coro: Any, **options: Any) -> Any:
        """Create a task, and note whose it is."""
        task = super().create_task(coro, **options)
        if (offspring := _offspring.get(None)) is not None:
            offspring.add(task)
        return task

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> "asyncio.Future[T]":
        """Run a function in a thread, and note that it may be the one of the connections."""
        if executor is not None and asyncio.current_task(self) not in self._errands:
            self._used_at = time.monotonic()
            self._is_used = True
        return super().run_in_executor(executor, func, *args)

    @property
    def _is_thread_there(self) -> bool:
        return self._used_at != _NEVER

    async def _end_thread(self) -> None:
        if self._is_thread_there:
            await sync_to_async(give_up_connections)()
        await self._one_thread.aclose()

    def _send(self, errand: Callable[[], None]) -> None:
        """Have the thread do something, if it is there, before the next coroutine does."""
        if self._is_thread_there:
            task = super().create_task(sync_to_async(errand)(), context=self._context.copy())
            self._errands.add(task)
            task.add_done_callback(self._errands.discard)


def _refresh_or_give_up() -> None:
    try:
        refresh_connections()
    except Exception:  # noqa: BLE001 (what is broken may also fail to close)
        give_up_connections()
