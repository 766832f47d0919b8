// alarm(), setitimer(), getitimer().

#include <tocsin/itimer.hpp>

#include "arguments.hpp"
#include "module.hpp"

namespace tocsin::python {
namespace {

PyObject* from_value(const itimer_value& value)
{
    return Py_BuildValue("(dd)", value.delay.count(), value.interval.count());
}

PyObject* alarm_function(PyObject*, PyObject* count)
{
    // As the documented module does, a negative number is a very long time.
    return guarded([&] { return PyLong_FromUnsignedLong(tocsin::alarm(static_cast<unsigned>(to_int(count)))); });
}

// What the kernel counts in. Upwards, as the documented module: not even a negative time short of one is refused.
std::chrono::microseconds to_microseconds(PyObject* seconds)
{
    return std::chrono::ceil<std::chrono::microseconds>(to_duration(seconds));
}

PyObject* setitimer_function(PyObject*, PyObject* arguments)
{
    return guarded([&]() -> PyObject* {
        PyObject *which = nullptr, *delay = nullptr, *interval = nullptr;
        if (PyArg_UnpackTuple(arguments, "setitimer", 2, 3, &which, &delay, &interval) == 0)
            return nullptr;
        const int timer = to_int(which);
        const auto first = to_microseconds(delay);
        const auto further = interval == nullptr ? std::chrono::microseconds(0) : to_microseconds(interval);
        return from_value(tocsin::setitimer(timer, first, further));
    });
}

PyObject* getitimer_function(PyObject*, PyObject* which)
{
    return guarded([&] { return from_value(tocsin::getitimer(to_int(which))); });
}

PyMethodDef functions[] = {
    {"alarm", alarm_function, METH_O,
     "alarm($module, seconds, /)\n--\n\n"
     "Have SIGALRM arrive after so many seconds; 0: never. Returns the seconds that were left."},
    {"setitimer", setitimer_function, METH_VARARGS,
     "setitimer($module, which, seconds, interval=0.0, /)\n--\n\n"
     "Set one of ITIMER_REAL, ITIMER_VIRTUAL and ITIMER_PROF: its signal arrives after so many seconds,\n"
     "and then, if interval is not zero, again every interval. Returns the setting before."},
    {"getitimer", getitimer_function, METH_O,
     "getitimer($module, which, /)\n--\n\n"
     "Return the time that is left and the interval."},
    {nullptr, nullptr, 0, nullptr},
};

} // namespace

int add_itimers(PyObject* module) { return add_functions(module, functions); }

} // namespace tocsin::python
