// Event: what is known of a signal that arrived.

#include <cstdint>
#include <string>

#include <tocsin/siginfo.hpp>

#include "arguments.hpp"
#include "handlers.hpp"
#include "module.hpp"

namespace tocsin::python {
namespace {

struct event_object {
    PyObject_HEAD siginfo_t info;
    std::uint64_t count;
    int signum;
};

const event_object& self_of(PyObject* self) { return *reinterpret_cast<const event_object*>(self); }
siginfo info_of(PyObject* self) { return siginfo(self_of(self).info); }

PyObject* number_or_none(const auto& field)
{
    if (!field)
        Py_RETURN_NONE;
    return PyLong_FromLongLong(static_cast<long long>(*field));
}

template <auto Member>
PyObject* get_number(PyObject* self, void*)
{
    return guarded([&] { return number_or_none((info_of(self).*Member)()); });
}

PyObject* get_value(PyObject* self, void*)
{
    const auto value = info_of(self).value();
    if (!value)
        Py_RETURN_NONE;
    return PyLong_FromLong(value->sival_int);
}

PyObject* get_address(PyObject* self, void*)
{
    const auto address = info_of(self).address();
    if (!address)
        Py_RETURN_NONE;
    return PyLong_FromVoidPtr(*address);
}

PyObject* get_signum(PyObject* self, void*) { return PyLong_FromLong(self_of(self).signum); }
PyObject* get_count(PyObject* self, void*) { return PyLong_FromUnsignedLongLong(self_of(self).count); }
PyObject* get_code(PyObject* self, void*) { return PyLong_FromLong(self_of(self).info.si_code); }
PyObject* get_error(PyObject* self, void*) { return PyLong_FromLong(self_of(self).info.si_errno); }
PyObject* get_info(PyObject* self, void*)
{
    return guarded([&] { return from_siginfo(self_of(self).info); });
}

PyObject* from_text(const std::string& text)
{
    return PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace");
}

PyObject* get_origin(PyObject* self, void*)
{
    return guarded([&] { return from_text(to_string(info_of(self).origin())); });
}

PyObject* get_name(PyObject* self, void*)
{
    return guarded([&] { return from_text(signum(self_of(self).signum).name()); });
}

PyObject* describe_method(PyObject* self, PyObject*)
{
    return guarded([&] { return from_text(describe(info_of(self))); });
}

PyObject* represent(PyObject* self)
{
    return guarded([&] {
        std::string text = "<tocsin.Event " + to_string(info_of(self));
        if (const auto value = info_of(self).value())
            text += ", value " + std::to_string(value->sival_int);
        if (self_of(self).count != 1)
            text += ", " + std::to_string(self_of(self).count) + " arrivals";
        return from_text(text + ">");
    });
}

PyObject* to_text(PyObject* self) { return describe_method(self, nullptr); }

PyObject* refuse(PyTypeObject*, PyObject*, PyObject*)
{
    PyErr_SetString(PyExc_TypeError, "an Event is made by a signal only");
    return nullptr;
}

void destroy(PyObject* self)
{
    PyTypeObject* const type = Py_TYPE(self);
    PyObject_Free(self);
    Py_DECREF(type);
}

PyGetSetDef members[] = {
    {"signum", get_signum, nullptr, "The signal's number.", nullptr},
    {"name", get_name, nullptr, "Its name: 'SIGTERM', 'SIGRTMIN+3'.", nullptr},
    {"count", get_count, nullptr, "How many arrivals this call stands for, 1 or more.", nullptr},
    {"origin", get_origin, nullptr,
     "Where it came from: 'user' (kill), 'queue' (sigqueue), 'terminal', 'child', 'timer', 'kernel', 'fault', "
     "'tkill',\n"
     "'mesgq', 'async_io', 'unknown'.",
     nullptr},
    {"code", get_code, nullptr, "si_code.", nullptr},
    {"error", get_error, nullptr, "si_errno.", nullptr},
    {"pid", get_number<&siginfo::pid>, nullptr, "The sender, or the child; None if the signal does not tell.", nullptr},
    {"uid", get_number<&siginfo::uid>, nullptr, "The real user id of that process, or None.", nullptr},
    {"status", get_number<&siginfo::status>, nullptr, "The child's exit status or signal, or None.", nullptr},
    {"band", get_number<&siginfo::band>, nullptr, "What happened on a descriptor, as poll() tells it, or None.",
     nullptr},
    {"fd", get_number<&siginfo::fd>, nullptr, "The descriptor, or None.", nullptr},
    {"value", get_value, nullptr, "What the sender attached (sigqueue), or None.", nullptr},
    {"address", get_address, nullptr, "The address a fault is about, or None.", nullptr},
    {"timer_id", get_number<&siginfo::timer_id>, nullptr, "The kernel's id of the POSIX timer, or None.", nullptr},
    {"overrun", get_number<&siginfo::overrun>, nullptr, "Expirations of it merged into this signal, or None.", nullptr},
    {"info", get_info, nullptr, "All of it as a signal.struct_siginfo.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyMethodDef methods[] = {
    {"describe", describe_method, METH_NOARGS,
     "describe($self, /)\n--\n\n"
     "A sentence for a log: 'SIGTERM from pid 4242 (bash), uid 1000, by kill'."},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot slots[] = {
    {Py_tp_doc, const_cast<char*>("A signal that arrived: who sent it, and why.")},
    {Py_tp_dealloc, reinterpret_cast<void*>(destroy)},
    {Py_tp_repr, reinterpret_cast<void*>(represent)},
    {Py_tp_str, reinterpret_cast<void*>(to_text)},
    {Py_tp_getset, members},
    {Py_tp_methods, methods},
    {Py_tp_new, reinterpret_cast<void*>(refuse)},
    {0, nullptr},
};

PyType_Spec specification = {"tocsin.Event", sizeof(event_object), 0, Py_TPFLAGS_DEFAULT, slots};

PyTypeObject* type = nullptr; // of the main interpreter, the only one with handlers

} // namespace

object make_event(const event& e)
{
    auto* const made = PyObject_New(event_object, type);
    if (made == nullptr)
        throw error_is_set();
    made->info = e.info.native();
    made->count = e.count;
    made->signum = e.signo;
    return object(reinterpret_cast<PyObject*>(made));
}

int add_events(PyObject* module)
{
    object made(PyType_FromSpec(&specification));
    if (!made || PyObject_SetAttrString(module, "Event", made.get()) < 0)
        return -1;
    if (type == nullptr && in_main_interpreter())
        type = reinterpret_cast<PyTypeObject*>(made.release());
    return 0;
}

} // namespace tocsin::python
