"""The functions of tocsin.signal in the modules signal and _signal, and back."""

import _signal
import signal
import types

from . import _tocsin
from . import signal as _ours

# What was there before, in the interpreter's own module: this one may be imported anew.
_KEPT = "_replaced_by_tocsin"


def _implemented():
    for module, ours in (_signal, _tocsin), (signal, _ours):
        for name, function in vars(ours).items():
            if isinstance(function, (types.FunctionType, types.BuiltinFunctionType)) and not name.startswith("_"):
                if callable(vars(module).get(name)):
                    yield module, name, function


def _require_main_thread(function):
    if not _tocsin.in_main_thread():
        raise ValueError(f"tocsin.{function}() only works in main thread of the main interpreter")


def install():
    _require_main_thread("install")
    _tocsin.adopt()
    kept = vars(_signal).setdefault(_KEPT, {})
    for module, name, function in _implemented():
        before, _ = kept.get((module, name), (vars(module)[name], None))
        kept[module, name] = before, function
        setattr(module, name, function)


def uninstall():
    _require_main_thread("uninstall")
    for (module, name), (before, function) in vars(_signal).pop(_KEPT, {}).items():
        if vars(module).get(name) is function:  # nobody has replaced it since
            setattr(module, name, before)
