#include "module.hpp"

#include <cstdlib>

#include "arguments.hpp"

namespace tocsin::python {
namespace {

PyObject* kept = nullptr; // of the main interpreter; lives as long as that

int keep_standard()
{
    const object module(PyImport_ImportModule("_signal"));
    if (!module)
        return -1;
    kept = PyDict_Copy(PyModule_GetDict(module.get()));
    return kept == nullptr ? -1 : 0;
}

int execute(PyObject* module)
{
    if (kept == nullptr && in_main_interpreter() && keep_standard() < 0)
        return -1;
    for (const auto part : {add_handlers, add_waits, add_itimers, add_events, add_subscriptions, add_timerfd,
                            add_timer_queue, add_intervals}) {
        if (part(module) < 0)
            return -1;
    }
    return 0;
}

// Slots that an older interpreter does not know are an error there.
constexpr int slot_multiple_interpreters = 3; // Py_mod_multiple_interpreters, since 3.12
void* const per_interpreter_lock = reinterpret_cast<void*>(2);

PyModuleDef_Slot slots[] = {
    {Py_mod_exec, reinterpret_cast<void*>(execute)},
    {0, nullptr}, // for what 3.12 knows
    {0, nullptr},
};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    "_tocsin",
    "The engine of the package tocsin: see its modules.",
    0,
    nullptr,
    slots,
    nullptr,
    nullptr,
    nullptr,
};

} // namespace

object standard(const char* name)
{
    if (!in_main_interpreter()) { // objects are not shared
        const object module = checked(PyImport_ImportModule("_signal"));
        return checked(PyObject_GetAttrString(module.get(), name));
    }
    PyObject* const found = PyDict_GetItemString(kept, name);
    if (found == nullptr)
        PyErr_Format(PyExc_AttributeError, "module '_signal' has no attribute '%s'", name);
    return checked(object::borrowed(found).release());
}

int add_functions(PyObject* module, PyMethodDef* functions)
{
    const object known(PyImport_ImportModule("_signal"));
    const object standard_name(PyUnicode_FromString("_signal"));
    const object name(PyModule_GetNameObject(module));
    if (!known || !standard_name || !name)
        return -1;
    for (PyMethodDef* each = functions; each->ml_name != nullptr; ++each) {
        const bool same = PyObject_HasAttrString(known.get(), each->ml_name) != 0;
        const object function(PyCFunction_NewEx(each, module, (same ? standard_name : name).get()));
        if (!function || PyObject_SetAttrString(module, each->ml_name, function.get()) < 0)
            return -1;
    }
    return 0;
}

unsigned long running_version() noexcept
{
    // "3.11.2 (main, ...": the number itself, Py_Version, exists since 3.11 only.
    static const unsigned long version = [] {
        char* end = nullptr;
        const unsigned long major = std::strtoul(Py_GetVersion(), &end, 10);
        const unsigned long minor = std::strtoul(end + 1, &end, 10);
        const unsigned long micro = *end == '.' ? std::strtoul(end + 1, nullptr, 10) : 0;
        return major << 24 | minor << 16 | micro << 8;
    }();
    return version;
}

bool in_main_interpreter() noexcept { return PyInterpreterState_GetID(PyInterpreterState_Get()) == 0; }

} // namespace tocsin::python

PyMODINIT_FUNC PyInit__tocsin()
{
    using namespace tocsin::python;
    if (running_version() >= 0x030C0000)
        slots[1] = {slot_multiple_interpreters, per_interpreter_lock};
    return PyModuleDef_Init(&definition);
}
