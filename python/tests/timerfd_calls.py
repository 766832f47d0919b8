"""Calls timerfd_create() and its companions in every way, right and wrong, and prints what came of it: of the module os
of 3.13 (`python3.13 timerfd_calls.py os`: timerfd_3.13.txt is that), or of tocsin.timerfd. Both must be the same."""

import os
import random
import re
import sys
import warnings

NONBLOCK, CLOEXEC, ABSTIME, CANCEL_ON_SET = os.O_NONBLOCK, os.O_CLOEXEC, 1, 2
NO_DESCRIPTOR = 999


class Descriptor:
    def __init__(self, number):
        self.number = number

    def fileno(self):
        return self.number


class Broken:
    def fileno(self):
        raise LookupError("broken")


class Index:
    def __init__(self, number):
        self.number = number

    def __index__(self):
        return self.number


class Float:
    def __float__(self):
        return 1.25


def text(value):
    if isinstance(value, tuple):  # the time to the next expiration is not exact, the interval is
        left = value[0] / 1e9 if isinstance(value[0], int) else value[0]
        return f"({type(value[0]).__name__} {'far' if left > 1e9 else round(left + 0.2)}, {value[1]!r})"
    return "descriptor" if isinstance(value, int) else repr(value)


def attempt(function, *arguments, **keywords):
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            result = function(*arguments, **keywords)
            said = text(result)
        except Exception as error:  # noqa: BLE001
            result = None
            said = f"{type(error).__name__}: {error}"
    # Left out: where the function is, and the guess that 3.13 adds.
    said = re.sub(r"^TypeError: [\w.]*\.(\w+\(\))", r"TypeError: \1", said)
    said = re.sub(r"\. Did you mean '\w+'\?$", "", said)
    return result, said + "".join(f" + {each.category.__name__}: {each.message}" for each in warned)


def shown(value):
    if isinstance(value, (Descriptor, Index)):
        return f"{type(value).__name__}({shown(value.number)})"
    if isinstance(value, (Float, Broken)):
        return type(value).__name__ + "()"
    return "TIMER" if value == TIMER and not isinstance(value, bool) else repr(value)


TIMER = 500  # the descriptor under test has this number, that of nothing else


def main(module):
    def call(name, *arguments, **keywords):
        result, said = attempt(getattr(module, name), *arguments, **keywords)
        given = [*map(shown, arguments), *(f"{key}={shown(value)}" for key, value in keywords.items())]
        print(f"{name}({', '.join(given)}): {said}")
        return result

    def reset():
        os.dup2(os.open("/dev/null", os.O_RDONLY), TIMER)  # whatever was set is gone
        made = module.timerfd_create(1)
        os.dup2(made, TIMER)
        os.close(made)

    for name in "TFD_NONBLOCK", "TFD_CLOEXEC", "TFD_TIMER_ABSTIME", "TFD_TIMER_CANCEL_ON_SET":
        print(name, getattr(module, name))
    huge = [2**31, -(2**31) - 1, 2**63, 2**100, Index(2**40)]
    not_int = ["x", None, 1.0, Index("a"), []]

    for clock in [0, 1, 7, True, Index(1), 2, 3, 4, 11, 99, -1, *huge, *not_int]:
        made = call("timerfd_create", clock)
        if made is not None:
            assert not os.get_inheritable(made)
            os.close(made)
    for flags in [0, NONBLOCK, CLOEXEC, NONBLOCK | CLOEXEC, 1, 4, -1, True, Index(NONBLOCK), *huge, *not_int]:
        made = call("timerfd_create", 1, flags=flags)
        if made is not None:
            assert not os.get_inheritable(made)
            assert os.get_blocking(made) == (int(getattr(flags, "number", flags)) & NONBLOCK == 0)
            os.close(made)
    call("timerfd_create")
    call("timerfd_create", 1, 0)
    call("timerfd_create", flags=0)
    call("timerfd_create", clockid=1)
    call("timerfd_create", 1, clockid=1)
    call("timerfd_create", 1, flag=1)

    wrong = [-1, NO_DESCRIPTOR, True, *huge, *not_int, Index(1)]
    wrong += [Descriptor(-1), Descriptor("x"), Descriptor(2**40), Broken()]
    times = [0, 0.0, 1, 1.75, 1e-10, 1e-9, 1.9e-9, -1e-10, -1e-9, -1, -0.1, True]
    times += [float("nan"), float("inf"), float("-inf"), 1e10, -1e300, 9223372036.0, 9223372036.854774]
    times += [9223372036.854776, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1]
    times += [2**64, 2**2000, Float(), Index(5), 2_000_000_000, "x", None, []]
    for name in "timerfd_settime", "timerfd_settime_ns":
        reset()
        call(name)
        call(name, TIMER, 0)
        call(name, fd=TIMER)
        call(name, TIMER, fd=TIMER)
        call(name, TIMER, initial=1, bogus=1)
        for fd in [TIMER, Descriptor(TIMER), *wrong]:
            call(name, fd)
        call(name, NO_DESCRIPTOR, initial=-1)
        call(name, "x", flags="x", initial="x")
        call(name, TIMER, flags="x", initial="x")
        call(name, TIMER, initial=1.5, interval="x")
        for key in "flags", "initial", "interval":
            for value in [0, 1, 2, 3, 4, -1, *huge, *not_int] if key == "flags" else times:
                reset()
                call(name, TIMER, **{key: value})
                call(name, TIMER, **{key: value})
        for flags in ABSTIME, ABSTIME | CANCEL_ON_SET, CANCEL_ON_SET:
            for value in 0, 1, -1, -0.5:
                reset()
                call(name, TIMER, initial=value, interval=1, flags=flags)
                print("armed:", module.timerfd_gettime(TIMER)[0] > 0)
    reset()
    for name in "timerfd_gettime", "timerfd_gettime_ns":
        call(name)
        call(name, TIMER, 0)
        call(name, fd=TIMER)
        for fd in [TIMER, Descriptor(TIMER), *wrong]:
            call(name, fd)

    numbers = random.Random(1)  # noqa: S311
    for exponent in range(-10, 10):
        for _ in range(5):
            module.timerfd_settime(TIMER, initial=1e6, interval=numbers.random() * 10.0**exponent)
            print(module.timerfd_gettime_ns(TIMER)[1], repr(module.timerfd_gettime(TIMER)[1]))


if __name__ == "__main__":
    if sys.argv[1] == "os":
        main(os)
    else:
        from tocsin import timerfd

        main(timerfd)
