// TimerQueue and Timer.
//
// A Timer has the C++ timer in it: to schedule one allocates the object, its tuple of arguments and nothing else. The queue
// holds a reference to every timer that is scheduled, in a list, so a handle may be dropped. A timer lets go of callback and
// arguments when it has expired or been cancelled. References are given up last: that may run any code.
//
// All is done with the interpreter's lock, which orders what several threads do; only wait() gives it away, and touches
// nothing but the descriptor meanwhile.

#include <tocsin/timer_queue.hpp>

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <thread>

#include <tocsin/safe_point.hpp>

#include "arguments.hpp"
#include "handlers.hpp"
#include "module.hpp"
#include "times.hpp"

namespace tocsin::python {
namespace {

using std::chrono::nanoseconds;

struct timer_object;

// What a queue and its timers share: a timer may outlive the queue.
struct shared_queue {
    explicit shared_queue(int clock)
        : queue(std::in_place, clock)
    {}

    std::optional<timer_queue> queue; // empty: closed
    timer_object* first = nullptr;    // of those that are scheduled, each with a reference
    waiting_threads waiting;          // in wait()
    unsigned running = 0;             // depth of run_expired()
    std::thread::id runner;
};

struct queue_object : object_head {
    std::shared_ptr<shared_queue> shared;
    PyTypeObject* timer_type;
};

void expired(timer& which);

struct timer_data : timer {
    timer_data(timer_object* of, std::shared_ptr<shared_queue> in)
        : timer(expired)
        , owner(of)
        , shared(std::move(in))
    {}

    timer_object* owner;
    std::shared_ptr<shared_queue> shared;
    timer_object* next = nullptr;
    timer_object** back = nullptr; // null: not scheduled
    PyObject* callback = nullptr;
    PyObject* arguments = nullptr;
    nanoseconds slack{};
    std::optional<detail::tick_times> times; // of every()
    tick last;                               // number 0: none yet
};

struct timer_object : object_head {
    timer_data data;
};

queue_object& queue_of(PyObject* self) { return *reinterpret_cast<queue_object*>(self); }
timer_data& data_of(PyObject* self) { return reinterpret_cast<timer_object*>(self)->data; }
PyObject* object_of(timer_object* t) { return reinterpret_cast<PyObject*>(t); }

timer_queue& open_queue(PyObject* self)
{
    auto& queue = queue_of(self).shared->queue;
    if (!queue)
        raise(PyExc_ValueError, "the TimerQueue is closed");
    return *queue;
}

// What a timer lets go of when it is no longer scheduled. To be destroyed when all else is in order.
struct belongings {
    object self;
    object callback;
    object arguments;
};

belongings take(timer_data& t)
{
    belongings all;
    if (t.back != nullptr) {
        *t.back = t.next;
        if (t.next != nullptr)
            t.next->data.back = t.back;
        t.back = nullptr;
        all.self = object(object_of(t.owner));
    }
    all.callback = object(std::exchange(t.callback, nullptr));
    all.arguments = object(std::exchange(t.arguments, nullptr));
    return all;
}

void close(shared_queue& shared)
{
    shared.queue.reset(); // the timers are no longer scheduled, and no others can be
    while (shared.first != nullptr)
        const belongings gone = take(shared.first->data);
}

void expired(timer& which)
{
    auto& t = static_cast<timer_data&>(which);
    if (!t.times) {
        t.last = {1, 0, t.deadline()};
        belongings mine = take(t);
        call(mine.callback.get(), std::move(mine.arguments));
        return;
    }
    timer_queue& queue = *t.shared->queue;
    const object self = object::borrowed(object_of(t.owner)); // the callback may cancel it
    const object callback = object::borrowed(t.callback);
    t.last = t.times->take(queue.last_now());
    queue.schedule_at(t, t.times->next(), t.slack); // does not fail: the descriptor is set later, by run_expired()
    call(callback.get(), object::borrowed(t.arguments));
}

// Queue -----------------------------------------------------------------------------------------------------------------------

PyObject* new_queue(PyTypeObject* type, PyObject* arguments, PyObject* keywords)
{
    return guarded([&]() -> PyObject* {
        static const char* names[] = {"clock", nullptr};
        PyObject* clock = nullptr;
        if (PyArg_ParseTupleAndKeywords(arguments, keywords, "|O:TimerQueue", const_cast<char**>(names), &clock) == 0)
            return nullptr;
        auto shared = std::make_shared<shared_queue>(to_clock(clock, "TimerQueue"));
        const object timer_type = object::borrowed(reinterpret_cast<PyObject*>(type_named("Timer")));
        object made(allocate(type));
        std::construct_at(&queue_of(made.get()).shared, std::move(shared));
        queue_of(made.get()).timer_type = reinterpret_cast<PyTypeObject*>(object::borrowed(timer_type.get()).release());
        return made.release();
    });
}

int traverse_queue(PyObject* self, visitproc visit, void* arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(queue_of(self).timer_type);
    const auto& shared = queue_of(self).shared;
    for (timer_object* each = shared ? shared->first : nullptr; each != nullptr; each = each->data.next)
        Py_VISIT(object_of(each));
    return 0;
}

int clear_queue(PyObject* self)
{
    if (const auto shared = queue_of(self).shared)
        close(*shared);
    return 0;
}

void destroy_queue(PyObject* self)
{
    PyObject_GC_UnTrack(self);
    PyObject_ClearWeakRefs(self);
    clear_queue(self);
    std::destroy_at(&queue_of(self).shared);
    Py_XDECREF(reinterpret_cast<PyObject*>(queue_of(self).timer_type));
    free_object(self);
}

// Which of after(), at() and every(), and whether in nanoseconds.
struct how {
    const char* name;
    const char* whose;
    enum { after, at, every } what;
    bool exact;
};

object named_argument(PyObject* keywords, const char* name, Py_ssize_t& found)
{
    object value = object::borrowed(keywords == nullptr ? nullptr : PyDict_GetItemString(keywords, name));
    found += value ? 1 : 0;
    return value;
}

PyObject* schedule(PyObject* self, PyObject* arguments, PyObject* keywords, const how& way)
{
    const Py_ssize_t given = PyTuple_Size(arguments);
    if (given < 2) {
        PyErr_Format(PyExc_TypeError, "%s() takes at least 2 positional arguments (%zd given)", way.name, given);
        return nullptr;
    }
    Py_ssize_t known = 0;
    const object slack = named_argument(keywords, "slack", known);
    const object policy = way.what == how::every ? named_argument(keywords, "policy", known) : object();
    if (keywords != nullptr && PyDict_Size(keywords) != known) {
        PyErr_Format(PyExc_TypeError,
                     "%s() takes the keyword arguments slack%s only: give the callback others with "
                     "functools.partial",
                     way.name, way.what == how::every ? " and policy" : "");
        return nullptr;
    }
    PyObject* const callback = PyTuple_GetItem(arguments, 1);
    if (PyCallable_Check(callback) == 0) {
        PyErr_Format(PyExc_TypeError, "%s: the callback %R is not callable", way.whose, callback);
        return nullptr;
    }
    const nanoseconds time = to_time(PyTuple_GetItem(arguments, 0), way.exact, way.whose);
    const nanoseconds tolerance = slack ? to_time(slack.get(), way.exact, way.whose) : nanoseconds(0);
    std::optional<detail::tick_times> times;
    if (way.what == how::every)
        times.emplace(way.whose, nanoseconds(0), time, to_policy(policy.get(), way.whose));

    static_cast<void>(open_queue(self));
    object made(allocate(queue_of(self).timer_type));
    auto* const t = reinterpret_cast<timer_object*>(made.get());
    timer_data& data = *std::construct_at(&t->data, t, queue_of(self).shared);
    data.callback = object::borrowed(callback).release();
    data.arguments = checked(PyTuple_GetSlice(arguments, 2, given)).release();
    data.slack = tolerance;
    data.times = times;

    timer_queue& queue = open_queue(self); // to allocate may have run the garbage collector, and that any code
    nanoseconds when = way.what == how::at ? time : add_times(queue.now(), time);
    if (data.times)
        data.times->restart(when);
    queue.schedule_at(data, when, tolerance);
    shared_queue& shared = *data.shared;
    data.next = shared.first;
    data.back = &shared.first;
    if (data.next != nullptr)
        data.next->data.back = &data.next;
    shared.first = t;
    Py_INCREF(made.get()); // the queue's
    return made.release();
}

constexpr how ways[] = {
    {"after", "TimerQueue.after", how::after, false}, {"after_ns", "TimerQueue.after_ns", how::after, true},
    {"at", "TimerQueue.at", how::at, false},          {"at_ns", "TimerQueue.at_ns", how::at, true},
    {"every", "TimerQueue.every", how::every, false}, {"every_ns", "TimerQueue.every_ns", how::every, true},
};

template <std::size_t Way>
PyObject* schedule_method(PyObject* self, PyObject* arguments, PyObject* keywords)
{
    return guarded([&] { return schedule(self, arguments, keywords, ways[Way]); });
}

PyObject* run_expired_method(PyObject* self, PyObject* arguments, PyObject* keywords)
{
    return guarded([&]() -> PyObject* {
        static const char* names[] = {"limit", nullptr};
        PyObject* given = nullptr;
        if (PyArg_ParseTupleAndKeywords(arguments, keywords, "|O:run_expired", const_cast<char**>(names), &given) == 0)
            return nullptr;
        std::size_t limit = SIZE_MAX;
        if (given != nullptr && given != Py_None) {
            const object number = checked(PyNumber_Index(given));
            limit = PyLong_AsSize_t(number.get());
            if (PyErr_Occurred() != nullptr) {
                if (!PyErr_ExceptionMatches(PyExc_OverflowError))
                    return nullptr;
                PyErr_Clear();
                const object zero = checked(PyLong_FromLong(0));
                if (PyObject_RichCompareBool(number.get(), zero.get(), Py_LT) == 1) {
                    PyErr_Format(PyExc_ValueError, "TimerQueue.run_expired: limit %S: must not be negative",
                                 number.get());
                    return nullptr;
                }
                limit = SIZE_MAX;
            }
        }
        timer_queue& queue = open_queue(self);
        const std::shared_ptr<shared_queue> keep = queue_of(self).shared;
        if (keep->running != 0 && keep->runner != std::this_thread::get_id())
            raise(PyExc_RuntimeError, "TimerQueue.run_expired: another thread runs it at this moment");
        struct run {
            explicit run(shared_queue& of)
                : shared(of)
            {
                ++shared.running;
                shared.runner = std::this_thread::get_id();
            }
            run(const run&) = delete;
            run& operator=(const run&) = delete;
            ~run() { --shared.running; }
            shared_queue& shared;
        };
        const run now(*keep);
        return PyLong_FromSize_t(queue.run_expired(limit));
    });
}

PyObject* wait_method(PyObject* self, PyObject* arguments, PyObject* keywords)
{
    return guarded([&]() -> PyObject* {
        static const char* names[] = {"timeout", nullptr};
        PyObject* timeout = nullptr;
        if (PyArg_ParseTupleAndKeywords(arguments, keywords, "|O:wait", const_cast<char**>(names), &timeout) == 0)
            return nullptr;
        const bool for_ever = timeout == nullptr || timeout == Py_None;
        const nanoseconds limit = for_ever ? nanoseconds(0) : to_time(timeout, false, "TimerQueue.wait");
        if (limit.count() < 0) {
            PyErr_Format(PyExc_ValueError, "TimerQueue.wait: timeout %S: must not be negative", timeout);
            return nullptr;
        }
        prepare_wait();
        timer_queue& queue = open_queue(self);
        const waiter here(queue_of(self).shared->waiting);
        bool ready = false;
        {
            const without_lock others;
            ready = for_ever ? queue.wait() : queue.wait(limit);
        }
        return PyBool_FromLong(ready ? 1 : 0);
    });
}

PyObject* close_method(PyObject* self, PyObject*)
{
    return guarded([&]() -> PyObject* {
        const std::shared_ptr<shared_queue> shared = queue_of(self).shared;
        if (shared->waiting.any())
            raise(PyExc_RuntimeError, "TimerQueue.close: a thread is in its wait()");
        close(*shared);
        Py_RETURN_NONE;
    });
}

PyObject* fileno_method(PyObject* self, PyObject*)
{
    return guarded([&] { return PyLong_FromLong(open_queue(self).native_handle()); });
}

PyObject* next_deadline(PyObject* self, bool exact)
{
    return guarded([&]() -> PyObject* {
        const auto time = open_queue(self).next_deadline();
        if (!time)
            Py_RETURN_NONE;
        return from_time(*time, exact);
    });
}
PyObject* next_deadline_method(PyObject* self, PyObject*) { return next_deadline(self, false); }
PyObject* next_deadline_ns_method(PyObject* self, PyObject*) { return next_deadline(self, true); }

PyObject* now_method(PyObject* self, PyObject*)
{
    return guarded([&] { return from_time(open_queue(self).now(), false); });
}
PyObject* now_ns_method(PyObject* self, PyObject*)
{
    return guarded([&] { return from_time(open_queue(self).now(), true); });
}

PyObject* get_closed(PyObject* self, void*) { return PyBool_FromLong(queue_of(self).shared->queue ? 0 : 1); }

Py_ssize_t length(PyObject* self)
{
    const auto& queue = queue_of(self).shared->queue;
    return queue ? static_cast<Py_ssize_t>(queue->size()) : 0;
}

PyObject* represent_queue(PyObject* self)
{
    if (!queue_of(self).shared->queue)
        return PyUnicode_FromString("<tocsin.TimerQueue, closed>");
    return PyUnicode_FromFormat("<tocsin.TimerQueue, timers: %zd>", length(self));
}

PyObject* enter_queue(PyObject* self, PyObject*)
{
    return guarded([&] {
        static_cast<void>(open_queue(self));
        return object::borrowed(self).release();
    });
}

PyMethodDef queue_methods[] = {
    {"after", with_keywords(schedule_method<0>), METH_VARARGS | METH_KEYWORDS,
     "after($self, seconds, callback, /, *args, slack=0)\n--\n\n"
     "Call callback(*args) once, after a time, and return the Timer. The queue keeps it.\n\n"
     "A time that is over already, or negative: in the next run_expired(). With slack the call may come up\n"
     "to that much later, at a time when others come too: fewer wake-ups."},
    {"after_ns", with_keywords(schedule_method<1>), METH_VARARGS | METH_KEYWORDS,
     "after_ns($self, nanoseconds, callback, /, *args, slack=0)\n--\n\n"
     "The same; both times are ints, in nanoseconds."},
    {"at", with_keywords(schedule_method<2>), METH_VARARGS | METH_KEYWORDS,
     "at($self, time, callback, /, *args, slack=0)\n--\n\n"
     "Call callback(*args) once, at a time on the queue's clock: see now()."},
    {"at_ns", with_keywords(schedule_method<3>), METH_VARARGS | METH_KEYWORDS,
     "at_ns($self, time, callback, /, *args, slack=0)\n--\n\n"
     "The same; both times are ints, in nanoseconds."},
    {"every", with_keywords(schedule_method<4>), METH_VARARGS | METH_KEYWORDS,
     "every($self, period, callback, /, *args, policy='skip', slack=0)\n--\n\n"
     "Call callback(*args) again and again, one period from now first. Nothing drifts.\n\n"
     "The policy says what becomes of calls that come too late: 'burst': all come, one right after the\n"
     "other; 'delay': they are dropped, the next comes a period after the late one; 'skip': they are\n"
     "dropped, the next comes when it always would have. Timer.tick says how many were missed."},
    {"every_ns", with_keywords(schedule_method<5>), METH_VARARGS | METH_KEYWORDS,
     "every_ns($self, period, callback, /, *args, policy='skip', slack=0)\n--\n\n"
     "The same; both times are ints, in nanoseconds."},
    {"run_expired", with_keywords(run_expired_method), METH_VARARGS | METH_KEYWORDS,
     "run_expired($self, /, limit=None)\n--\n\n"
     "Call the callbacks that are due, at most limit of them, and return how many were called.\n\n"
     "In the order of their deadlines, none early. An exception leaves from here; the others stay\n"
     "scheduled. Waits for nothing."},
    {"wait", with_keywords(wait_method), METH_VARARGS | METH_KEYWORDS,
     "wait($self, /, timeout=None)\n--\n\n"
     "Wait until run_expired() has something to do: True; or for timeout seconds: False.\n\n"
     "Other threads run meanwhile, and may schedule; so do signal handlers, on the main thread."},
    {"next_deadline", next_deadline_method, METH_NOARGS,
     "next_deadline($self, /)\n--\n\n"
     "Return when the first timer is due, in seconds on the queue's clock, or None."},
    {"next_deadline_ns", next_deadline_ns_method, METH_NOARGS,
     "next_deadline_ns($self, /)\n--\n\n"
     "The same in nanoseconds."},
    {"now", now_method, METH_NOARGS, "now($self, /)\n--\n\nReturn the time on the queue's clock, in seconds."},
    {"now_ns", now_ns_method, METH_NOARGS, "now_ns($self, /)\n--\n\nThe same in nanoseconds."},
    {"fileno", fileno_method, METH_NOARGS,
     "fileno($self, /)\n--\n\n"
     "Return the descriptor that is readable when run_expired() has something to do. Not to be read, set or\n"
     "closed."},
    {"close", close_method, METH_NOARGS,
     "close($self, /)\n--\n\n"
     "Cancel all timers and close the descriptor. Allowed in a callback: none is called after it."},
    {"__enter__", enter_queue, METH_NOARGS, nullptr},
    {"__exit__", close_method, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef queue_members[] = {
    {"closed", get_closed, nullptr, "Whether close() has been called.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyType_Slot queue_slots[] = {
    {Py_tp_doc, const_cast<char*>("TimerQueue(clock='monotonic')\n--\n\n"
                                  "Any number of timers on one descriptor.\n\n"
                                  "An event loop calls run_expired() when fileno() is readable; a thread of its own\n"
                                  "calls wait() before. Clocks: 'monotonic', 'boottime' (counts the time that the\n"
                                  "machine sleeps), 'realtime' (follows the clock when it is set), or one of the\n"
                                  "CLOCK_ constants. Any thread may schedule and cancel; one at a time may be in\n"
                                  "run_expired(). In a forked child the timers go on, as they do in the parent.")},
    {Py_tp_new, reinterpret_cast<void*>(new_queue)},
    {Py_tp_dealloc, reinterpret_cast<void*>(destroy_queue)},
    {Py_tp_traverse, reinterpret_cast<void*>(traverse_queue)},
    {Py_tp_clear, reinterpret_cast<void*>(clear_queue)},
    {Py_tp_repr, reinterpret_cast<void*>(represent_queue)},
    {Py_tp_methods, queue_methods},
    {Py_tp_getset, queue_members},
    {Py_tp_members, weak_reference_member},
    {Py_sq_length, reinterpret_cast<void*>(length)},
    {0, nullptr},
};

PyType_Spec queue_specification = {"tocsin.TimerQueue", sizeof(queue_object), 0,
                                   Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, queue_slots};

// Timer -----------------------------------------------------------------------------------------------------------------------

PyObject* refuse(PyTypeObject*, PyObject*, PyObject*)
{
    PyErr_SetString(PyExc_TypeError, "a Timer is made by TimerQueue.after(), at() and every()");
    return nullptr;
}

int traverse_timer(PyObject* self, visitproc visit, void* arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(data_of(self).callback);
    Py_VISIT(data_of(self).arguments);
    return 0;
}

int clear_timer(PyObject* self)
{
    data_of(self).cancel();
    const belongings gone = take(data_of(self));
    return 0;
}

void destroy_timer(PyObject* self)
{
    PyObject_GC_UnTrack(self);
    PyObject_ClearWeakRefs(self);
    if (data_of(self).owner != nullptr) { // else it was never constructed
        clear_timer(self);
        std::destroy_at(&data_of(self));
    }
    free_object(self);
}

PyObject* cancel_method(PyObject* self, PyObject*)
{
    const bool was_scheduled = data_of(self).cancel();
    const belongings gone = take(data_of(self));
    return PyBool_FromLong(was_scheduled ? 1 : 0);
}

PyObject* reschedule(PyObject* self, PyObject* when, bool exact, bool absolute, const char* whose)
{
    return guarded([&]() -> PyObject* {
        timer_data& t = data_of(self);
        nanoseconds time = to_time(when, exact, whose);
        if (!t.scheduled())
            Py_RETURN_FALSE;
        timer_queue& queue = *t.shared->queue;
        if (!absolute)
            time = add_times(queue.now(), time);
        if (t.times)
            t.times->restart(time);
        try {
            queue.schedule_at(t, time, t.slack);
        } catch (...) { // a forked child gets no descriptor of its own: it is not scheduled any more
            const belongings gone = take(t);
            throw;
        }
        Py_RETURN_TRUE;
    });
}

PyObject* reschedule_method(PyObject* self, PyObject* seconds)
{
    return reschedule(self, seconds, false, false, "Timer.reschedule");
}
PyObject* reschedule_ns_method(PyObject* self, PyObject* ns)
{
    return reschedule(self, ns, true, false, "Timer.reschedule_ns");
}
PyObject* reschedule_at_method(PyObject* self, PyObject* time)
{
    return reschedule(self, time, false, true, "Timer.reschedule_at");
}
PyObject* reschedule_at_ns_method(PyObject* self, PyObject* time)
{
    return reschedule(self, time, true, true, "Timer.reschedule_at_ns");
}

PyObject* get_active(PyObject* self, void*) { return PyBool_FromLong(data_of(self).scheduled() ? 1 : 0); }
PyObject* get_deadline(PyObject* self, void*) { return from_time(data_of(self).deadline(), false); }
PyObject* get_deadline_ns(PyObject* self, void*) { return from_time(data_of(self).deadline(), true); }
PyObject* get_tick(PyObject* self, void*)
{
    return guarded([&]() -> PyObject* {
        if (data_of(self).last.number == 0)
            Py_RETURN_NONE;
        return from_tick(data_of(self).last);
    });
}
PyObject* get_period(PyObject* self, bool exact)
{
    const auto& times = data_of(self).times;
    if (!times)
        Py_RETURN_NONE;
    return from_time(times->period(), exact);
}
PyObject* get_period_seconds(PyObject* self, void*) { return get_period(self, false); }
PyObject* get_period_ns(PyObject* self, void*) { return get_period(self, true); }

PyObject* represent_timer(PyObject* self)
{
    const timer_data& t = data_of(self);
    if (!t.scheduled())
        return PyUnicode_FromString("<tocsin.Timer, not active>");
    const object deadline(from_time(t.deadline(), false));
    if (!deadline)
        return nullptr;
    const object callback = object::borrowed(t.callback); // its __repr__ may cancel the timer
    return PyUnicode_FromFormat("<tocsin.Timer at %R: %R>", deadline.get(), callback.get());
}

PyMethodDef timer_methods[] = {
    {"cancel", cancel_method, METH_NOARGS,
     "cancel($self, /)\n--\n\n"
     "It is not called any more. False if it has expired or been cancelled before."},
    {"reschedule", reschedule_method, METH_O,
     "reschedule($self, seconds, /)\n--\n\n"
     "Put it off, or forward: it comes so many seconds from now, and if it comes every period then the\n"
     "following calls count from there. False, and nothing is done, if it is not active."},
    {"reschedule_ns", reschedule_ns_method, METH_O,
     "reschedule_ns($self, nanoseconds, /)\n--\n\nThe same in nanoseconds."},
    {"reschedule_at", reschedule_at_method, METH_O,
     "reschedule_at($self, time, /)\n--\n\nThe same at a time on the queue's clock."},
    {"reschedule_at_ns", reschedule_at_ns_method, METH_O,
     "reschedule_at_ns($self, time, /)\n--\n\nThe same in nanoseconds."},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef timer_members[] = {
    {"active", get_active, nullptr, "It will be called (again).", nullptr},
    {"deadline", get_deadline, nullptr,
     "When it is due, in seconds on the queue's clock; if it is not active, when it last was.", nullptr},
    {"deadline_ns", get_deadline_ns, nullptr, "The same in nanoseconds.", nullptr},
    {"period", get_period_seconds, nullptr, "The period of every(), in seconds, or None.", nullptr},
    {"period_ns", get_period_ns, nullptr, "The same in nanoseconds.", nullptr},
    {"tick", get_tick, nullptr, "The Tick of the last call, or of the one that is under way; None before the first.",
     nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyType_Slot timer_slots[] = {
    {Py_tp_doc, const_cast<char*>("A callback that a TimerQueue has scheduled.")},
    {Py_tp_new, reinterpret_cast<void*>(refuse)},
    {Py_tp_dealloc, reinterpret_cast<void*>(destroy_timer)},
    {Py_tp_traverse, reinterpret_cast<void*>(traverse_timer)},
    {Py_tp_clear, reinterpret_cast<void*>(clear_timer)},
    {Py_tp_repr, reinterpret_cast<void*>(represent_timer)},
    {Py_tp_methods, timer_methods},
    {Py_tp_getset, timer_members},
    {Py_tp_members, weak_reference_member},
    {0, nullptr},
};

PyType_Spec timer_specification = {"tocsin.Timer", sizeof(timer_object), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
                                   timer_slots};

} // namespace

int add_timer_queue(PyObject* module)
{
    if (add_type(module, timer_specification, "Timer") < 0)
        return -1;
    return add_type(module, queue_specification, "TimerQueue");
}

} // namespace tocsin::python
