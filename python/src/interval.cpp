// Interval: ticks on a descriptor of its own.

#include <tocsin/interval.hpp>

#include <poll.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>

#include <tocsin/blocking.hpp>

#include "arguments.hpp"
#include "handlers.hpp"
#include "module.hpp"
#include "times.hpp"

namespace tocsin::python {
namespace {

using std::chrono::nanoseconds;

struct interval_object : object_head {
    std::optional<interval> ticks; // empty: closed
    waiting_threads waiting;
};

interval_object& object_of(PyObject* self) { return *reinterpret_cast<interval_object*>(self); }

interval& open_interval(PyObject* self)
{
    auto& ticks = object_of(self).ticks;
    if (!ticks)
        raise(PyExc_ValueError, "the Interval is closed");
    return *ticks;
}

PyObject* new_interval(PyTypeObject* type, PyObject* arguments, PyObject* keywords)
{
    return guarded([&]() -> PyObject* {
        static const char* names[] = {"period", "policy", "clock", "period_ns", nullptr};
        PyObject *period = nullptr, *policy = nullptr, *clock = nullptr, *period_ns = nullptr;
        if (PyArg_ParseTupleAndKeywords(arguments, keywords, "|OO$OO:Interval", const_cast<char**>(names), &period,
                                        &policy, &clock, &period_ns) == 0)
            return nullptr;
        if ((period == nullptr) == (period_ns == nullptr))
            raise(PyExc_TypeError, "Interval: either period or period_ns must be given");
        const nanoseconds time =
            period != nullptr ? to_time(period, false, "Interval") : to_time(period_ns, true, "Interval");
        interval ticks(time, to_policy(policy, "Interval"), to_clock(clock, "Interval"));
        object made(allocate(type));
        std::construct_at(&object_of(made.get()).ticks, std::move(ticks));
        std::construct_at(&object_of(made.get()).waiting);
        return made.release();
    });
}

void destroy(PyObject* self)
{
    PyObject_ClearWeakRefs(self);
    std::destroy_at(&object_of(self).ticks);
    free_object(self);
}

// Null without an exception: the time is over. Only the descriptor is used without the lock: other threads and handlers may
// use the object meanwhile.
PyObject* wait_for_tick(PyObject* self, std::optional<nanoseconds> limit)
{
    using clock = std::chrono::steady_clock;
    prepare_wait();
    const clock::time_point begun = clock::now();
    for (;;) {
        interval& ticks = open_interval(self);
        if (const auto found = ticks.try_wait())
            return from_tick(*found);
        timespec left{};
        if (limit) {
            const nanoseconds rest = *limit - (clock::now() - begun);
            if (rest.count() <= 0)
                return nullptr;
            left = {static_cast<time_t>(rest.count() / 1'000'000'000), static_cast<long>(rest.count() % 1'000'000'000)};
        }
        pollfd ready{ticks.native_handle(), POLLIN, 0};
        const waiter here(object_of(self).waiting);
        const without_lock others;
        blocking::ppoll(&ready, 1, limit ? &left : nullptr, nullptr);
    }
}

PyObject* wait_method(PyObject* self, PyObject* arguments, PyObject* keywords)
{
    return guarded([&]() -> PyObject* {
        static const char* names[] = {"timeout", nullptr};
        PyObject* timeout = nullptr;
        if (PyArg_ParseTupleAndKeywords(arguments, keywords, "|O:wait", const_cast<char**>(names), &timeout) == 0)
            return nullptr;
        std::optional<nanoseconds> limit;
        if (timeout != nullptr && timeout != Py_None) {
            limit = to_time(timeout, false, "Interval.wait");
            if (limit->count() < 0) {
                PyErr_Format(PyExc_ValueError, "Interval.wait: timeout %S: must not be negative", timeout);
                return nullptr;
            }
        }
        PyObject* const found = wait_for_tick(self, limit);
        if (found == nullptr)
            Py_RETURN_NONE;
        return found;
    });
}

PyObject* next_tick(PyObject* self)
{
    return guarded([&] { return wait_for_tick(self, std::nullopt); });
}

PyObject* try_wait_method(PyObject* self, PyObject*)
{
    return guarded([&]() -> PyObject* {
        const auto found = open_interval(self).try_wait();
        if (!found)
            Py_RETURN_NONE;
        return from_tick(*found);
    });
}

PyObject* fileno_method(PyObject* self, PyObject*)
{
    return guarded([&] { return PyLong_FromLong(open_interval(self).native_handle()); });
}

PyObject* restart_method(PyObject* self, PyObject*)
{
    return guarded([&]() -> PyObject* {
        open_interval(self).restart();
        Py_RETURN_NONE;
    });
}

PyObject* close_method(PyObject* self, PyObject*)
{
    return guarded([&]() -> PyObject* {
        if (object_of(self).waiting.any())
            raise(PyExc_RuntimeError, "Interval.close: a thread is in its wait()");
        object_of(self).ticks.reset();
        Py_RETURN_NONE;
    });
}

PyObject* enter(PyObject* self, PyObject*)
{
    return guarded([&] {
        static_cast<void>(open_interval(self));
        return object::borrowed(self).release();
    });
}

PyObject* itself(PyObject* self) { return object::borrowed(self).release(); }

template <auto Member, bool Exact>
PyObject* get_time(PyObject* self, void*)
{
    return guarded([&] { return from_time((open_interval(self).*Member)(), Exact); });
}

PyObject* get_closed(PyObject* self, void*) { return PyBool_FromLong(object_of(self).ticks ? 0 : 1); }

PyMethodDef methods[] = {
    {"wait", with_keywords(wait_method), METH_VARARGS | METH_KEYWORDS,
     "wait($self, /, timeout=None)\n--\n\n"
     "Wait for the next tick and return it as a Tick; None when timeout seconds are over.\n\n"
     "Other threads run meanwhile, and signal handlers on the main thread; no tick is lost by it."},
    {"try_wait", try_wait_method, METH_NOARGS,
     "try_wait($self, /)\n--\n\nReturn the tick that is due, or None. Waits for nothing."},
    {"restart", restart_method, METH_NOARGS,
     "restart($self, /)\n--\n\nThe next tick comes one period from now, and the following ones from there."},
    {"fileno", fileno_method, METH_NOARGS,
     "fileno($self, /)\n--\n\n"
     "Return the descriptor that is readable when a tick is due: try_wait(). Not to be read, set or closed."},
    {"close", close_method, METH_NOARGS, "close($self, /)\n--\n\nClose the descriptor."},
    {"__enter__", enter, METH_NOARGS, nullptr},
    {"__exit__", close_method, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef members[] = {
    {"period", get_time<&interval::period, false>, nullptr, "The period in seconds.", nullptr},
    {"period_ns", get_time<&interval::period, true>, nullptr, "The same in nanoseconds.", nullptr},
    {"next_due", get_time<&interval::next_due, false>, nullptr,
     "When the next tick is to come: in seconds since the epoch of the clock.", nullptr},
    {"next_due_ns", get_time<&interval::next_due, true>, nullptr, "The same in nanoseconds.", nullptr},
    {"closed", get_closed, nullptr, "Whether close() has been called.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyType_Slot slots[] = {
    {Py_tp_doc,
     const_cast<char*>("Interval(period, policy='skip', *, clock='monotonic', period_ns=None)\n--\n\n"
                       "Ticks one period apart, the first one period from now: `for tick in Interval(0.1): ...`.\n\n"
                       "Each time is computed from the first, so nothing drifts. The policy says what becomes of\n"
                       "ticks that nobody was there for: 'burst': all come, one right after the other; 'delay':\n"
                       "they are dropped, the next comes a period after the late one; 'skip': they are dropped,\n"
                       "the next comes when it always would have. Tick.missed says how many were dropped.")},
    {Py_tp_new, reinterpret_cast<void*>(new_interval)},
    {Py_tp_dealloc, reinterpret_cast<void*>(destroy)},
    {Py_tp_iter, reinterpret_cast<void*>(itself)},
    {Py_tp_iternext, reinterpret_cast<void*>(next_tick)},
    {Py_tp_methods, methods},
    {Py_tp_getset, members},
    {Py_tp_members, weak_reference_member},
    {0, nullptr},
};

PyType_Spec specification = {"tocsin.Interval", sizeof(interval_object), 0, Py_TPFLAGS_DEFAULT, slots};

} // namespace

int add_intervals(PyObject* module)
{
    if (add_tick(module) < 0)
        return -1;
    return add_type(module, specification, "Interval");
}

} // namespace tocsin::python
