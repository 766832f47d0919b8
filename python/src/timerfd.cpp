// timerfd_create() and the like, as the module os of Python 3.13 has them: the same arguments, results, errors and messages
// on every version.

#include <tocsin/timer_fd.hpp>

#include <cmath>
#include <cstdint>

#include "arguments.hpp"
#include "module.hpp"
#include "times.hpp"

namespace tocsin::python {
namespace {

using std::chrono::nanoseconds;

constexpr unsigned long v3_13 = 0x030D0000;

// The int converter of 3.13: no float, no other type without __index__.
int to_exact_int(PyObject* value) { return to_int(checked(PyNumber_Index(value)).get()); }

int to_descriptor(PyObject* value)
{
    if (PyBool_Check(value) && running_version() < v3_13 &&
        PyErr_WarnEx(PyExc_RuntimeWarning, "bool is used as a file descriptor", 1) < 0)
        throw error_is_set();
    const int fd = PyObject_AsFileDescriptor(value);
    if (fd < 0)
        throw error_is_set();
    return fd;
}

// Rounded down, as 3.13 does: what is above zero and below a nanosecond disarms.
nanoseconds to_floor(double seconds)
{
    const double ns = std::floor(seconds * 1e9);
    if (!(ns >= -0x1p63 && ns < 0x1p63))
        raise(PyExc_OverflowError, "timestamp out of range for platform time_t");
    return nanoseconds(static_cast<std::int64_t>(ns));
}

double to_double(PyObject* value)
{
    const double result = PyFloat_AsDouble(value);
    if (result == -1 && PyErr_Occurred() != nullptr)
        throw error_is_set();
    return result;
}

nanoseconds to_nanoseconds(PyObject* value)
{
    const object number = checked(PyNumber_Index(value));
    const long long ns = PyLong_AsLongLong(number.get());
    if (ns == -1 && PyErr_Occurred() != nullptr) {
        if (PyErr_ExceptionMatches(PyExc_OverflowError))
            raise(PyExc_OverflowError, "int too big to convert");
        throw error_is_set();
    }
    return nanoseconds(ns);
}

double in_seconds(nanoseconds time)
{
    constexpr std::int64_t per_second = 1'000'000'000;
    return static_cast<double>(time.count() / per_second) + static_cast<double>(time.count() % per_second) * 1e-9;
}

PyObject* from_value(const timerfd_value_ns& value)
{
    return Py_BuildValue("(dd)", in_seconds(value.initial), in_seconds(value.interval));
}

PyObject* from_value_ns(const timerfd_value_ns& value)
{
    return Py_BuildValue("(LL)", static_cast<long long>(value.initial.count()),
                         static_cast<long long>(value.interval.count()));
}

// One positional argument, and optional ones that must be named: `names` without the first, null at the end.
void parse(const char* function, PyObject* arguments, PyObject* keywords, const char* const* names, PyObject** values)
{
    const Py_ssize_t given = PyTuple_Size(arguments);
    if (given != 1) {
        PyErr_Format(PyExc_TypeError, "%s() takes exactly 1 positional argument (%zd given)", function, given);
        throw error_is_set();
    }
    values[0] = PyTuple_GetItem(arguments, 0);
    PyObject *name = nullptr, *value = nullptr;
    for (Py_ssize_t at = 0; keywords != nullptr && PyDict_Next(keywords, &at, &name, &value) != 0;) {
        std::size_t i = 0;
        while (names[i] != nullptr && PyUnicode_CompareWithASCIIString(name, names[i]) != 0)
            ++i;
        if (names[i] == nullptr) {
            PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%S'", function, name);
            throw error_is_set();
        }
        values[i + 1] = value;
    }
}

PyObject* create_function(PyObject*, PyObject* arguments, PyObject* keywords)
{
    return guarded([&]() -> PyObject* {
        static const char* const names[] = {"flags", nullptr};
        PyObject* values[2] = {};
        parse("timerfd_create", arguments, keywords, names, values);
        const int clock = to_exact_int(values[0]);
        const int flags = values[1] == nullptr ? 0 : to_exact_int(values[1]);
        timer_fd made(clock, flags);
        object result = checked(PyLong_FromLong(made.native_handle()));
        made.release();
        return result.release();
    });
}

struct setting {
    int fd;
    int flags;
    PyObject* initial; // null: zero
    PyObject* interval;
};

setting parse_setting(const char* function, PyObject* arguments, PyObject* keywords)
{
    static const char* const names[] = {"flags", "initial", "interval", nullptr};
    PyObject* values[4] = {};
    parse(function, arguments, keywords, names, values);
    const int fd = to_descriptor(values[0]);
    return {fd, values[1] == nullptr ? 0 : to_exact_int(values[1]), values[2], values[3]};
}

// The lock is kept: none of these calls waits.
PyObject* settime_function(PyObject*, PyObject* arguments, PyObject* keywords)
{
    return guarded([&] {
        const setting to = parse_setting("timerfd_settime", arguments, keywords);
        const double initial = to.initial == nullptr ? 0 : to_double(to.initial);
        const double interval = to.interval == nullptr ? 0 : to_double(to.interval);
        const nanoseconds first = to_floor(initial);
        return from_value(timerfd_settime_ns(to.fd, first, to_floor(interval), to.flags));
    });
}

PyObject* settime_ns_function(PyObject*, PyObject* arguments, PyObject* keywords)
{
    return guarded([&] {
        const setting to = parse_setting("timerfd_settime_ns", arguments, keywords);
        const nanoseconds initial = to.initial == nullptr ? nanoseconds(0) : to_nanoseconds(to.initial);
        const nanoseconds interval = to.interval == nullptr ? nanoseconds(0) : to_nanoseconds(to.interval);
        return from_value_ns(timerfd_settime_ns(to.fd, initial, interval, to.flags));
    });
}

PyObject* gettime_function(PyObject*, PyObject* fd)
{
    return guarded([&] { return from_value(timerfd_gettime_ns(to_descriptor(fd))); });
}

PyObject* gettime_ns_function(PyObject*, PyObject* fd)
{
    return guarded([&] { return from_value_ns(timerfd_gettime_ns(to_descriptor(fd))); });
}

PyMethodDef functions[] = {
    {"timerfd_create", with_keywords(create_function), METH_VARARGS | METH_KEYWORDS,
     "timerfd_create($module, clockid, /, *, flags=0)\n--\n\n"
     "Return a new timer descriptor, not armed and not inheritable.\n\n"
     "The clock is CLOCK_REALTIME, CLOCK_MONOTONIC or CLOCK_BOOTTIME; flags are TFD_NONBLOCK and\n"
     "TFD_CLOEXEC (always on). os.read(fd, 8) waits until the timer expires, and returns how often it has\n"
     "since the last time, as 8 bytes in the machine's order."},
    {"timerfd_settime", with_keywords(settime_function), METH_VARARGS | METH_KEYWORDS,
     "timerfd_settime($module, fd, /, *, flags=0, initial=0.0, interval=0.0)\n--\n\n"
     "Set a timer to expire after initial seconds, and then, if interval is not zero, every interval.\n\n"
     "With the flag TFD_TIMER_ABSTIME initial is a point on the timer's clock; with\n"
     "TFD_TIMER_CANCEL_ON_SET beside it, reading fails with ECANCELED after the clock has been set.\n"
     "Returns the setting before: (time to the next expiration, interval).\n\n"
     "An initial time of zero stops the timer. As in Python 3.13, times are rounded down to whole\n"
     "nanoseconds: one below a nanosecond, 1e-10, is zero."},
    {"timerfd_settime_ns", with_keywords(settime_ns_function), METH_VARARGS | METH_KEYWORDS,
     "timerfd_settime_ns($module, fd, /, *, flags=0, initial=0, interval=0)\n--\n\n"
     "The same in nanoseconds, which are ints."},
    {"timerfd_gettime", gettime_function, METH_O,
     "timerfd_gettime($module, fd, /)\n--\n\n"
     "Return the time to the next expiration and the interval, in seconds; (0.0, 0.0) if the timer is\n"
     "not armed."},
    {"timerfd_gettime_ns", gettime_ns_function, METH_O,
     "timerfd_gettime_ns($module, fd, /)\n--\n\n"
     "The same in nanoseconds."},
    {nullptr, nullptr, 0, nullptr},
};

} // namespace

int add_timerfd(PyObject* module)
{
    const struct {
        const char* name;
        long value;
    } constants[] = {
        {"TFD_NONBLOCK", TFD_NONBLOCK},
        {"TFD_CLOEXEC", TFD_CLOEXEC},
        {"TFD_TIMER_ABSTIME", TFD_TIMER_ABSTIME},
        {"TFD_TIMER_CANCEL_ON_SET", TFD_TIMER_CANCEL_ON_SET},
        {"CLOCK_REALTIME", CLOCK_REALTIME},
        {"CLOCK_MONOTONIC", CLOCK_MONOTONIC},
        {"CLOCK_BOOTTIME", CLOCK_BOOTTIME},
        {"CLOCK_REALTIME_ALARM", CLOCK_REALTIME_ALARM},
        {"CLOCK_BOOTTIME_ALARM", CLOCK_BOOTTIME_ALARM},
    };
    for (const auto& each : constants) {
        if (PyModule_AddIntConstant(module, each.name, each.value) < 0)
            return -1;
    }
    return PyModule_AddFunctions(module, functions);
}

} // namespace tocsin::python
