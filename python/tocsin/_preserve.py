"""preserve(): handlers as they were."""

from . import _tocsin
from . import signal as _signal


class preserve:
    """A context manager: at the end of its block the handlers are those that getsignal() told at its beginning.

    For these signals, or for all. Those that other code than Python had set (None) are left alone. All are put back
    before a handler runs for what arrives meanwhile. On the main thread of the main interpreter only, else ValueError.
    """

    def __init__(self, *signals):
        self._signals = tuple(signals)
        self._saved = []

    def __enter__(self):
        if not _tocsin.in_main_thread():
            raise ValueError("preserve only works in main thread of the main interpreter")
        signals = self._signals or _signal.valid_signals()
        self._saved.append([(each, _signal.getsignal(each)) for each in signals])
        return self

    def __exit__(self, *error):
        with _tocsin.defer():
            for number, handler in self._saved.pop():
                if handler is not None and _signal.getsignal(number) is not handler:
                    _signal.signal(number, handler)
