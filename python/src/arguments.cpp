#include "arguments.hpp"

#include <cerrno>
#include <climits>
#include <cmath>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>

#include <tocsin/error.hpp>
#include <tocsin/itimer.hpp>

#include "module.hpp"

namespace tocsin::python {
namespace {

constexpr unsigned long v3_10 = 0x030A0000;
constexpr unsigned long v3_11 = 0x030B0000;

// In the interpreter's own words, which differ even between releases of one version. It refuses such a time before it
// looks at the timer, and there is no timer -1.
[[noreturn]] void raise_time_too_large(PyObject* seconds)
{
    const object setitimer = standard("setitimer");
    const object none(PyObject_CallFunction(setitimer.get(), "iO", -1, seconds));
    if (PyErr_ExceptionMatches(PyExc_OverflowError) == 0)
        raise(PyExc_OverflowError, "timestamp out of range");
    throw error_is_set();
}

// Before 3.10 a float was refused with words of its own, elsewhere anything without __index__ is refused alike.
void refuse_float(PyObject* value)
{
    if (running_version() < v3_10 && PyFloat_Check(value))
        raise(PyExc_TypeError, "integer argument expected, got float");
}

} // namespace

void raise(PyObject* type, const char* message)
{
    PyErr_SetString(type, message);
    throw error_is_set();
}

void raise_errno(int error, PyObject* type)
{
    errno = error;
    PyErr_SetFromErrno(type == nullptr ? PyExc_OSError : type);
    throw error_is_set();
}

object checked(PyObject* value)
{
    if (value == nullptr)
        throw error_is_set();
    return object(value);
}

int to_int(PyObject* value)
{
    refuse_float(value);
    const long number = PyLong_AsLong(value);
    if (number == -1 && PyErr_Occurred() != nullptr && !PyErr_ExceptionMatches(PyExc_OverflowError))
        throw error_is_set();
    if (PyErr_Occurred() != nullptr || number < INT_MIN || number > INT_MAX)
        raise(PyExc_OverflowError, "Python int too large to convert to C int");
    return static_cast<int>(number);
}

int to_signal(PyObject* value)
{
    const int sig = to_int(value);
    if (sig < 1 || sig >= nsig)
        raise(PyExc_ValueError, "signal number out of range");
    return sig;
}

std::chrono::nanoseconds to_duration(PyObject* seconds)
{
    constexpr std::int64_t per_second = 1'000'000'000;
    if (PyFloat_Check(seconds)) {
        const double value = PyFloat_AsDouble(seconds);
        if (std::isnan(value))
            raise(PyExc_ValueError, "Invalid value NaN (not a number)");
        const double ns = std::ceil(value * 1e9);
        if (!(ns >= -0x1p63 && ns < 0x1p63))
            raise_time_too_large(seconds);
        return std::chrono::nanoseconds(static_cast<std::int64_t>(ns));
    }
    const long long value = PyLong_AsLongLong(seconds);
    if (value == -1 && PyErr_Occurred() != nullptr) {
        if (PyErr_ExceptionMatches(PyExc_OverflowError)) {
            PyErr_Clear();
            raise_time_too_large(seconds);
        }
        throw error_is_set();
    }
    std::int64_t ns = 0;
    if (__builtin_mul_overflow(value, per_second, &ns))
        raise_time_too_large(seconds);
    return std::chrono::nanoseconds(ns);
}

signal_set to_signal_set(PyObject* iterable)
{
    const object iterator = checked(PyObject_GetIter(iterable));
    signal_set set;
    while (const object item{PyIter_Next(iterator.get())}) {
        int overflow = 0;
        const long sig = PyLong_AsLongAndOverflow(item.get(), &overflow);
        if (sig == -1 && PyErr_Occurred() != nullptr)
            throw error_is_set();
        if (overflow != 0 || sig < 1 || sig >= nsig) {
            if (running_version() >= v3_11)
                PyErr_Format(PyExc_ValueError, "signal number %ld out of range [1; %i]", sig, nsig - 1);
            else
                PyErr_Format(PyExc_ValueError, "signal number %ld out of range", sig);
            throw error_is_set();
        }
        if (sig >= 32 && sig < SIGRTMIN) { // the C library's
            if (PyErr_WarnFormat(PyExc_RuntimeWarning, 1, "invalid signal number %ld, please use valid_signals()",
                                 sig) < 0)
                throw error_is_set();
            continue;
        }
        set.insert(static_cast<int>(sig));
    }
    if (PyErr_Occurred() != nullptr)
        throw error_is_set();
    return set;
}

PyObject* from_signal_set(const signal_set& set)
{
    object all = checked(PySet_New(nullptr));
    for (const signum sig : set) {
        const object number = checked(PyLong_FromLong(sig));
        if (PySet_Add(all.get(), number.get()) < 0)
            throw error_is_set();
    }
    return all.release();
}

PyObject* from_siginfo(const siginfo_t& info)
{
    // As the documented module does: every member of the union is read, whatever the signal is.
    const object type = standard("struct_siginfo");
    const object fields =
        checked(Py_BuildValue("((iiilliL))", info.si_signo, info.si_code, info.si_errno, static_cast<long>(info.si_pid),
                              info.si_uid == static_cast<uid_t>(-1) ? -1L : static_cast<long>(info.si_uid),
                              info.si_status, static_cast<long long>(info.si_band)));
    return PyObject_CallObject(type.get(), fields.get());
}

PyObject* raise_current_exception() noexcept
{
    const auto set = [](PyObject* type, const std::exception& e) { PyErr_SetString(type, e.what()); };
    try {
        throw;
    } catch (const error_is_set&) {
    } catch (const itimer_error& e) {
        try {
            raise_errno(e.code().value(), standard("ItimerError").get());
        } catch (const error_is_set&) {
        }
    } catch (const std::system_error& e) {
        errno = e.code().value();
        PyErr_SetFromErrno(PyExc_OSError);
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
    } catch (const std::overflow_error& e) {
        set(PyExc_OverflowError, e);
    } catch (const std::invalid_argument& e) {
        set(PyExc_ValueError, e);
    } catch (const std::out_of_range& e) {
        set(PyExc_ValueError, e);
    } catch (const std::length_error& e) {
        set(PyExc_ValueError, e);
    } catch (const thread_error& e) {
        set(PyExc_ValueError, e); // what the documented module raises on the wrong thread
    } catch (const std::exception& e) {
        set(PyExc_RuntimeError, e);
    } catch (...) {
        PyErr_SetString(PyExc_SystemError, "an exception that tocsin does not know");
    }
    return nullptr;
}

} // namespace tocsin::python
