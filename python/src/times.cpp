#include "times.hpp"

#include <cstddef>
#include <cstdint>

#include <tocsin/seconds.hpp>

#include "arguments.hpp"
#include "handlers.hpp"
#include "hook.hpp"

namespace tocsin::python {
namespace {

using std::chrono::nanoseconds;

[[noreturn]] void raise_too_large(const char* whose, PyObject* value, const char* unit)
{
    PyErr_Format(PyExc_OverflowError, "%s: %R %s does not fit: a time is at most 2^63 - 1 nanoseconds (292 years)",
                 whose, value, unit);
    throw error_is_set();
}

std::int64_t to_int64(PyObject* integer, const char* whose, const char* unit)
{
    const long long value = PyLong_AsLongLong(integer);
    if (value == -1 && PyErr_Occurred() != nullptr)
        raise_too_large(whose, integer, unit);
    return value;
}

// Null if none of the `names` is meant; `name` is a str.
template <class Value, std::size_t N>
const Value* find(PyObject* name, const std::pair<const char*, Value> (&names)[N])
{
    for (const auto& [each, value] : names) {
        if (PyUnicode_CompareWithASCIIString(name, each) == 0)
            return &value;
    }
    return nullptr;
}

PyStructSequence_Field tick_fields[] = {
    {"number", "from 1; those that were missed count"},
    {"missed", "how many were dropped since the one before"},
    {"due", "when it was to come, in seconds since the epoch of the clock"},
    {"due_ns", "the same in nanoseconds"},
    {nullptr, nullptr},
};

PyStructSequence_Desc tick_description = {"tocsin.Tick", "One tick of an Interval or of TimerQueue.every().",
                                          tick_fields, 3};

int keep_type(PyObject* module, const char* name, PyObject* type)
{
    PyObject* const all = PyInterpreterState_GetDict(PyInterpreterState_Get());
    if (all == nullptr) {
        PyErr_SetString(PyExc_RuntimeError, "tocsin: the interpreter has no place for types");
        return -1;
    }
    const object key(PyUnicode_FromFormat("tocsin.%s", name));
    if (!key || PyDict_SetItem(all, key.get(), type) < 0)
        return -1;
    return PyObject_SetAttrString(module, name, type);
}

} // namespace

PyMemberDef weak_reference_member[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(object_head, weak_references), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

nanoseconds to_time(PyObject* value, bool exact, const char* whose)
{
    if (exact)
        return nanoseconds(to_int64(checked(PyNumber_Index(value)).get(), whose, "ns"));
    if (PyLong_Check(value)) {
        std::int64_t ns = 0;
        if (__builtin_mul_overflow(to_int64(value, whose, "s"), std::int64_t{1'000'000'000}, &ns))
            raise_too_large(whose, value, "s");
        return nanoseconds(ns);
    }
    const double number = PyFloat_AsDouble(value);
    if (number == -1 && PyErr_Occurred() != nullptr)
        throw error_is_set();
    return seconds(number).nanoseconds(whose);
}

PyObject* from_time(nanoseconds time, bool exact)
{
    return exact ? PyLong_FromLongLong(time.count()) : PyFloat_FromDouble(static_cast<double>(time.count()) / 1e9);
}

nanoseconds add_times(nanoseconds a, nanoseconds b) noexcept
{
    std::int64_t sum = 0;
    if (__builtin_add_overflow(a.count(), b.count(), &sum))
        return b.count() < 0 ? nanoseconds::min() : nanoseconds::max();
    return nanoseconds(sum);
}

int to_clock(PyObject* value, const char* whose)
{
    constexpr std::pair<const char*, int> names[] = {
        {"monotonic", CLOCK_MONOTONIC}, {"realtime", CLOCK_REALTIME}, {"boottime", CLOCK_BOOTTIME}};
    if (value == nullptr)
        return CLOCK_MONOTONIC;
    if (!PyUnicode_Check(value))
        return to_int(value);
    if (const int* const found = find(value, names))
        return *found;
    PyErr_Format(PyExc_ValueError, "%s: clock %R: must be 'monotonic', 'realtime', 'boottime' or a CLOCK_ constant",
                 whose, value);
    throw error_is_set();
}

missed_ticks to_policy(PyObject* value, const char* whose)
{
    constexpr std::pair<const char*, missed_ticks> names[] = {
        {"burst", missed_ticks::burst}, {"delay", missed_ticks::delay}, {"skip", missed_ticks::skip}};
    if (value == nullptr)
        return missed_ticks::skip;
    const missed_ticks* const found = PyUnicode_Check(value) ? find(value, names) : nullptr;
    if (found == nullptr) {
        PyErr_Format(PyExc_ValueError, "%s: policy %R: must be 'burst', 'delay' or 'skip'", whose, value);
        throw error_is_set();
    }
    return *found;
}

PyObject* from_tick(const tick& t)
{
    object made = checked(PyStructSequence_New(type_named("Tick")));
    PyObject* const fields[] = {PyLong_FromUnsignedLongLong(t.number), PyLong_FromUnsignedLongLong(t.missed),
                                from_time(t.due, false), from_time(t.due, true)};
    Py_ssize_t at = 0;
    for (PyObject* const each : fields)
        PyStructSequence_SetItem(made.get(), at++, each); // takes the reference
    if (PyErr_Occurred() != nullptr)
        throw error_is_set();
    return made.release();
}

void prepare_wait()
{
    if (in_main_thread()) {
        static bool done = false;
        if (!done)
            install_hook(); // the handlers may be the standard module's
        done = true;
    }
    run_pending();
}

PyObject* allocate(PyTypeObject* type) { return checked(PyType_GenericAlloc(type, 0)).release(); }

void free_object(PyObject* self) noexcept
{
    PyTypeObject* const type = Py_TYPE(self);
    reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

int add_type(PyObject* module, PyType_Spec& specification, const char* name)
{
    const object type(PyType_FromSpec(&specification));
    return type ? keep_type(module, name, type.get()) : -1;
}

PyTypeObject* type_named(const char* name)
{
    const object key = checked(PyUnicode_FromFormat("tocsin.%s", name));
    PyObject* const all = PyInterpreterState_GetDict(PyInterpreterState_Get());
    PyObject* const found = all == nullptr ? nullptr : PyDict_GetItemWithError(all, key.get());
    if (found == nullptr)
        raise(PyExc_RuntimeError, "tocsin: the module _tocsin has not been imported in this interpreter");
    return reinterpret_cast<PyTypeObject*>(found);
}

int add_tick(PyObject* module)
{
    const object type(reinterpret_cast<PyObject*>(PyStructSequence_NewType(&tick_description)));
    return type ? keep_type(module, "Tick", type.get()) : -1;
}

} // namespace tocsin::python
