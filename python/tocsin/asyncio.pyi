from asyncio import AbstractEventLoop
from collections.abc import Iterable
from typing import Literal, overload

from typing_extensions import Self, SupportsIndex, TypeAlias

from ._tocsin import Event, _Delivery, _Pending

__all__ = ["signals", "wait_for_signal"]

_Number: TypeAlias = SupportsIndex | Iterable[SupportsIndex]

class signals:
    @overload
    def __init__(
        self,
        *signals: _Number,
        loop: AbstractEventLoop | None = None,
        delivery: _Delivery = "queue",
        capacity: int = 1024,
        chain: bool | None = None,
        once: bool = False,
        second_is_default: bool = False,
        respect_ignore: bool = False,
        pending: _Pending = "redeliver",
    ) -> None: ...
    @overload
    def __init__(
        self,
        loop: AbstractEventLoop,
        /,
        *signals: _Number,
        delivery: _Delivery = "queue",
        capacity: int = 1024,
        chain: bool | None = None,
        once: bool = False,
        second_is_default: bool = False,
        respect_ignore: bool = False,
        pending: _Pending = "redeliver",
    ) -> None: ...
    @property
    def signals(self) -> set[int]: ...
    @property
    def dropped(self) -> int: ...
    @property
    def closed(self) -> bool: ...
    def __aiter__(self) -> Self: ...
    async def __anext__(self) -> Event: ...
    def close(self) -> None: ...
    async def aclose(self) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *error: object) -> None: ...
    def __del__(self) -> None: ...

async def wait_for_signal(
    *signals_: AbstractEventLoop | _Number,
    loop: AbstractEventLoop | None = None,
    delivery: _Delivery = "queue",
    capacity: int = 1024,
    chain: bool | None = None,
    once: bool = False,
    second_is_default: bool = False,
    respect_ignore: bool = False,
    pending: _Pending = "redeliver",
) -> Event: ...
