#pragma once

// What the types about time share: seconds and nanoseconds of Python, the names of clocks, the result type Tick.

#include <unistd.h>

#include <chrono>
#include <optional>
#include <utility>

#include <tocsin/interval.hpp>
#include <tocsin/safe_point.hpp>

#include "python.hpp"

#include <structmember.h> // needs Python.h before it

namespace tocsin::python {

/// An int or a float, rounded up to nanoseconds; with `exact` nanoseconds, an int. `whose` begins the messages.
[[nodiscard]] std::chrono::nanoseconds to_time(PyObject* value, bool exact, const char* whose);
[[nodiscard]] PyObject* from_time(std::chrono::nanoseconds time, bool exact);
/// The sum, or the first or last time that there is.
[[nodiscard]] std::chrono::nanoseconds add_times(std::chrono::nanoseconds a, std::chrono::nanoseconds b) noexcept;

/// "monotonic", "realtime", "boottime" or one of the CLOCK_ constants. Null: monotonic.
[[nodiscard]] int to_clock(PyObject* value, const char* whose);
/// "burst", "delay" or "skip". Null: skip.
[[nodiscard]] missed_ticks to_policy(PyObject* value, const char* whose);

/// A new Tick.
[[nodiscard]] PyObject* from_tick(const tick& t);

/// Before a wait: handlers of the main thread, the interpreter's own included, run while it lasts. What is due runs here.
void prepare_wait();
/// How many threads wait for an object. Used with the lock.
class waiting_threads {
public:
    [[nodiscard]] bool any() const noexcept { return count_ != 0 && process_ == ::getpid(); }

private:
    friend class waiter;
    unsigned count_ = 0;
    pid_t process_ = 0; // those that waited in the parent are not in a forked child
};

/// A thread that waits, while this lives. Handlers are the main interpreter's: a wait in another one leaves them alone.
class waiter {
public:
    explicit waiter(waiting_threads& all)
        : all_(all)
        , process_(::getpid())
    {
        if (!in_main_interpreter())
            guard_.emplace();
        if (std::exchange(all_.process_, process_) != process_)
            all_.count_ = 0;
        ++all_.count_;
    }
    waiter(const waiter&) = delete;
    waiter& operator=(const waiter&) = delete;
    ~waiter()
    {
        if (all_.process_ == process_)
            --all_.count_;
    }

private:
    waiting_threads& all_;
    pid_t process_;
    std::optional<defer_signals> guard_;
};

/// For the table of methods.
inline PyCFunction with_keywords(PyObject* (*function)(PyObject*, PyObject*, PyObject*))
{
    return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

/// The beginning of every object here.
struct object_head {
    PyObject_HEAD PyObject* weak_references;
};
/// Py_tp_members of their types.
extern PyMemberDef weak_reference_member[];

/// A new object, all zero behind its head. Throws error_is_set.
[[nodiscard]] PyObject* allocate(PyTypeObject* type);
/// The end of it, after what it held has been destroyed.
void free_object(PyObject* self) noexcept;

/// A new type, also an attribute of the module; type_named() finds it again in this interpreter.
int add_type(PyObject* module, PyType_Spec& specification, const char* name);
/// Borrowed. Throws error_is_set.
[[nodiscard]] PyTypeObject* type_named(const char* name);

/// Adds Tick.
int add_tick(PyObject* module);

} // namespace tocsin::python
