#pragma once

// What every file of the extension needs: CPython's stable interface, and the few types that make it safe to use from C++.
// One binary serves CPython 3.9 and later.

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x03090000
#include <Python.h>

#include <cxxabi.h>
#include <unistd.h>

#include <cstdint>
#include <utility>

namespace tocsin::python {

/// A Python exception is set. Thrown through tocsin's own code, from a handler to the call that ran it.
struct error_is_set {};

/// Owns a reference. Null if a call failed: the Python exception is set then.
class object {
public:
    object() noexcept = default;
    /// Takes over the reference.
    explicit object(PyObject* owned) noexcept
        : pointer_(owned)
    {}
    [[nodiscard]] static object borrowed(PyObject* other) noexcept
    {
        Py_XINCREF(other);
        return object(other);
    }
    object(object&& other) noexcept
        : pointer_(other.release())
    {}
    object& operator=(object&& other) noexcept
    {
        PyObject* const before = std::exchange(pointer_, other.release());
        Py_XDECREF(before); // last: it may run any code
        return *this;
    }
    object(const object&) = delete;
    object& operator=(const object&) = delete;
    ~object() { Py_XDECREF(pointer_); }

    [[nodiscard]] PyObject* get() const noexcept { return pointer_; }
    PyObject* release() noexcept { return std::exchange(pointer_, nullptr); }
    explicit operator bool() const noexcept { return pointer_ != nullptr; }

private:
    PyObject* pointer_ = nullptr;
};

/// Runs `body`, which takes the interpreter's lock or may do so. As it ends, the interpreter ends every other thread there, with
/// pthread_exit(): a daemon thread. That must not unwind our frames, whose objects need the lock: the thread stops instead,
/// until the process has ended, as from CPython 3.14 on.
template <class Body>
__attribute__((no_sanitize("null"))) auto or_stop(Body body) // the exception caught has no object
{
    try {
        return body();
    } catch (abi::__forced_unwind&) {
        for (;;)
            ::pause();
    }
}

/// The thread gives the interpreter's lock to others while this lives.
class without_lock {
public:
    without_lock() noexcept
        : state_(PyEval_SaveThread())
    {}
    ~without_lock()
    {
        or_stop([&] { PyEval_RestoreThread(state_); });
    }
    without_lock(const without_lock&) = delete;
    without_lock& operator=(const without_lock&) = delete;

private:
    PyThreadState* state_;
};

/// The thread has the interpreter's lock while this lives, whether it had it before or not.
class with_lock {
public:
    with_lock() noexcept
        : state_(or_stop([] { return PyGILState_Ensure(); }))
    {}
    ~with_lock() { PyGILState_Release(state_); }
    with_lock(const with_lock&) = delete;
    with_lock& operator=(const with_lock&) = delete;

private:
    PyGILState_STATE state_;
};

/// Sets the Python exception for the C++ one that is being handled, and returns null.
PyObject* raise_current_exception() noexcept;

/// Runs `body`, which returns a PyObject*; C++ exceptions become Python's.
template <class Body>
PyObject* guarded(Body body) noexcept
{
    try {
        return or_stop(body);
    } catch (...) {
        return raise_current_exception();
    }
}

/// Puts away the exception that is set, for what must be done all the same; back at the end, instead of a later one.
class kept_exception {
public:
    kept_exception() noexcept { PyErr_Fetch(&type_, &value_, &trace_); }
    kept_exception(const kept_exception&) = delete;
    kept_exception& operator=(const kept_exception&) = delete;
    ~kept_exception()
    {
        if (type_ != nullptr)
            PyErr_Restore(type_, value_, trace_);
    }

private:
    PyObject *type_ = nullptr, *value_ = nullptr, *trace_ = nullptr;
};

/// Runs `body`; what it throws becomes the Python exception.
template <class Body>
void attempt(Body body) noexcept
{
    try {
        or_stop(body);
    } catch (...) {
        raise_current_exception();
    }
}

inline void rethrow_exception()
{
    if (PyErr_Occurred() != nullptr)
        throw error_is_set();
}

/// The version that runs, as PY_VERSION_HEX.
[[nodiscard]] unsigned long running_version() noexcept;

/// The main interpreter, not one made inside the process.
[[nodiscard]] bool in_main_interpreter() noexcept;

} // namespace tocsin::python
