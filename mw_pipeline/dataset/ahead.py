"""Values of a number, the next of which is made in a thread while one is used."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """What a function gives for a number, made before it is asked for where `begin` was told of it.

    A value depends on its number alone, whoever makes it, and one is made at a time. What goes wrong in the thread is
    raised where its value is asked for. Each thread ends with its value, and no process waits for it to exit.
    """

    def __init__(self) -> None:
        self._begun: tuple[int, Future[T]] | None = None

    def begin(self, make: Callable[[int], T], number: int) -> None:
        """Has the value of a number made, unless one is begun already."""
        if self._begun is None:
            future: Future[T] = Future()
            self._begun = (number, future)
            arguments = (future, make, number)
            threading.Thread(target=_fulfil, args=arguments, name=f"ahead-{number}", daemon=True).start()

    def take(self, make: Callable[[int], T], number: int) -> T:
        """The value of a number. Raises what `make` raises."""
        begun, self._begun = self._begun, None
        if begun is not None and begun[0] == number:
            return begun[1].result()
        if begun is not None:
            begun[1].exception()  # waits for it: `make` is never at work twice
        return make(number)


def _fulfil(future: Future[T], make: Callable[[int], T], number: int) -> None:
    try:
        future.set_result(make(number))
    except BaseException as error:
        future.set_exception(error)
