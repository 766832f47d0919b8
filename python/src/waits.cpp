// Waiting for signals, masks, sending.

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include <tocsin/tocsin.hpp>

#include "arguments.hpp"
#include "handlers.hpp"
#include "hook.hpp"
#include "module.hpp"

namespace tocsin::python {
namespace {

// Handlers are the main interpreter's: a wait in another one leaves them alone.
class own_handlers_only {
public:
    own_handlers_only()
    {
        if (!in_main_interpreter())
            guard_.emplace();
    }

private:
    std::optional<defer_signals> guard_;
};

signal_set waitable(PyObject* iterable)
{
    signal_set set = to_signal_set(iterable);
    if (in_main_thread())
        leave_to_program(set, false);
    if (const int nudge = nudge_signal_in_use(); nudge != 0)
        set.erase(nudge); // ours: it is to interrupt the wait, not to end it
    return set;
}

// The C library's waits, which the documented module calls, do not tell the codes of tgkill() and kill() apart.
PyObject* as_of_kill(siginfo_t info)
{
    if (info.si_code == SI_TKILL)
        info.si_code = SI_USER;
    return from_siginfo(info);
}

PyObject* pause_function(PyObject*, PyObject*)
{
    return guarded([]() -> PyObject* {
        const bool own = in_main_interpreter();
        {
            const without_lock others;
            if (own)
                tocsin::pause(); // what is due already ends it
            else
                ::pause();
        }
        run_pending();
        Py_RETURN_NONE;
    });
}

PyObject* sigwait_function(PyObject*, PyObject* iterable)
{
    return guarded([&] {
        const signal_set set = waitable(iterable);
        const own_handlers_only guard;
        int sig = 0;
        {
            const without_lock others;
            sig = tocsin::sigwait(set);
        }
        return PyLong_FromLong(sig);
    });
}

PyObject* sigwaitinfo_function(PyObject*, PyObject* iterable)
{
    return guarded([&] {
        const signal_set set = waitable(iterable);
        const own_handlers_only guard;
        siginfo info;
        {
            const without_lock others;
            info = tocsin::sigwaitinfo(set);
        }
        return as_of_kill(info.native());
    });
}

PyObject* sigtimedwait_function(PyObject*, PyObject* arguments)
{
    return guarded([&]() -> PyObject* {
        PyObject *iterable = nullptr, *timeout = nullptr;
        if (PyArg_UnpackTuple(arguments, "sigtimedwait", 2, 2, &iterable, &timeout) == 0)
            return nullptr;
        const signal_set set = waitable(iterable);
        const auto limit = to_duration(timeout); // upwards: less than a nanosecond below 0 is 0
        if (limit.count() < 0)
            raise(PyExc_ValueError, "timeout must be non-negative");
        const own_handlers_only guard;
        std::optional<siginfo> info;
        {
            const without_lock others;
            info = tocsin::sigtimedwait(set, limit);
        }
        if (!info)
            Py_RETURN_NONE;
        return as_of_kill(info->native());
    });
}

PyObject* pthread_sigmask_function(PyObject*, PyObject* arguments)
{
    return guarded([&]() -> PyObject* {
        PyObject *how = nullptr, *mask = nullptr;
        if (PyArg_UnpackTuple(arguments, "pthread_sigmask", 2, 2, &how, &mask) == 0)
            return nullptr;
        const int what = to_int(how);
        signal_set set = to_signal_set(mask);
        if (what != SIG_UNBLOCK && in_main_thread())
            leave_to_program(set, false); // one that is blocked by its number, not with all, is waited for
        if (what != SIG_UNBLOCK)
            if (const int nudge = nudge_signal_in_use(); nudge != 0)
                set.erase(nudge); // as tocsin's own: it must reach a thread that blocks everything
        signal_set before;
        {
            const defer_signals guard;
            before = tocsin::pthread_sigmask(what, set);
        }
        run_pending();
        return from_signal_set(before);
    });
}

PyObject* sigpending_function(PyObject*, PyObject*)
{
    return guarded([] { return from_signal_set(tocsin::sigpending()); });
}

PyObject* raise_signal_function(PyObject*, PyObject* number)
{
    return guarded([&]() -> PyObject* {
        const int sig = to_int(number);
        if (sig < 0 || sig >= nsig)
            raise_errno(EINVAL);
        if (sig != 0) {
            const defer_signals guard;
            tocsin::raise_signal(sig);
        }
        run_pending();
        Py_RETURN_NONE;
    });
}

PyObject* pthread_kill_function(PyObject*, PyObject* arguments)
{
    return guarded([&]() -> PyObject* {
        PyObject *thread = nullptr, *number = nullptr;
        if (PyArg_UnpackTuple(arguments, "pthread_kill", 2, 2, &thread, &number) == 0)
            return nullptr;
        if (!PyLong_Check(thread)) {
            const object name =
                checked(PyObject_GetAttrString(reinterpret_cast<PyObject*>(Py_TYPE(thread)), "__name__"));
            PyErr_Format(PyExc_TypeError, "pthread_kill() argument 1 must be int, not %S",
                         thread == Py_None ? Py_None : name.get());
            return nullptr;
        }
        const unsigned long id = PyLong_AsUnsignedLongMask(thread);
        if (PyErr_Occurred() != nullptr)
            return nullptr;
        const int sig = to_int(number);
        const object audit =
            checked(PySys_GetObject("audit") == nullptr
                        ? object::borrowed(Py_None).release()
                        : PyObject_CallFunction(PySys_GetObject("audit"), "skO", "signal.pthread_kill", id, number));
        if (sig < 0 || sig >= nsig)
            raise_errno(EINVAL);
        {
            const defer_signals guard;
            tocsin::pthread_kill(id, sig);
        }
        run_pending();
        Py_RETURN_NONE;
    });
}

PyObject* pidfd_send_signal_function(PyObject*, PyObject* arguments)
{
    return guarded([&]() -> PyObject* {
        PyObject *fd = nullptr, *number = nullptr, *info = Py_None, *flags = nullptr;
        if (PyArg_UnpackTuple(arguments, "pidfd_send_signal", 2, 4, &fd, &number, &info, &flags) == 0)
            return nullptr;
        const int pidfd = to_int(fd);
        const int sig = to_int(number);
        const int options = flags == nullptr ? 0 : to_int(flags);
        if (info != Py_None)
            raise(PyExc_TypeError, "siginfo must be None");
        if (sig < 0 || sig >= nsig) {
            // The kernel looks at the descriptor first.
            const long result = ::syscall(SYS_pidfd_send_signal, pidfd, sig, nullptr, options);
            raise_errno(result < 0 ? errno : EINVAL);
        }
        tocsin::pidfd_send_signal(pidfd, sig, nullptr, static_cast<unsigned>(options));
        Py_RETURN_NONE;
    });
}

PyObject* pidfd_open_function(PyObject*, PyObject* number)
{
    return guarded([&] {
        pidfd fd = tocsin::pidfd_open(to_int(number));
        object result = checked(PyLong_FromLong(fd.native_handle()));
        fd.release();
        return result.release();
    });
}

PyObject* sigqueue_function(PyObject*, PyObject* arguments)
{
    return guarded([&]() -> PyObject* {
        PyObject *process = nullptr, *number = nullptr, *value = nullptr;
        if (PyArg_UnpackTuple(arguments, "sigqueue", 2, 3, &process, &number, &value) == 0)
            return nullptr;
        const int pid = to_int(process);
        const int sig = to_signal(number);
        sigval sent{};
        sent.sival_int = value == nullptr ? 0 : to_int(value);
        tocsin::sigqueue(pid, sig, sent);
        if (pid == ::getpid())
            run_pending();
        Py_RETURN_NONE;
    });
}

PyMethodDef functions[] = {
    {"pause", pause_function, METH_NOARGS,
     "pause($module, /)\n--\n\n"
     "Wait until a signal arrives, and run its handler. One that is due already runs at once."},
    {"sigwait", sigwait_function, METH_O,
     "sigwait($module, sigset, /)\n--\n\n"
     "Wait for one of these signals, which must be blocked, and return its number.\n\n"
     "Handlers of other signals run meanwhile."},
    {"sigwaitinfo", sigwaitinfo_function, METH_O,
     "sigwaitinfo($module, sigset, /)\n--\n\n"
     "The same; returns a struct_siginfo."},
    {"sigtimedwait", sigtimedwait_function, METH_VARARGS,
     "sigtimedwait($module, sigset, timeout, /)\n--\n\n"
     "The same, for at most timeout seconds: None when they are over."},
    {"pthread_sigmask", pthread_sigmask_function, METH_VARARGS,
     "pthread_sigmask($module, how, mask, /)\n--\n\n"
     "Change the signal mask of this thread, and return the mask before."},
    {"sigpending", sigpending_function, METH_NOARGS,
     "sigpending($module, /)\n--\n\n"
     "Return the set of the signals that have arrived and are blocked."},
    {"raise_signal", raise_signal_function, METH_O,
     "raise_signal($module, signalnum, /)\n--\n\n"
     "Send a signal to this thread."},
    {"pthread_kill", pthread_kill_function, METH_VARARGS,
     "pthread_kill($module, thread_id, signalnum, /)\n--\n\n"
     "Send a signal to a thread of this process."},
    {"pidfd_send_signal", pidfd_send_signal_function, METH_VARARGS,
     "pidfd_send_signal($module, pidfd, signalnum, siginfo=None, flags=0, /)\n--\n\n"
     "Send a signal to the process that a descriptor stands for."},
    {"pidfd_open", pidfd_open_function, METH_O,
     "pidfd_open($module, pid, /)\n--\n\n"
     "Return a descriptor that stands for a process: readable when that has ended. To be closed with os.close()."},
    {"sigqueue", sigqueue_function, METH_VARARGS,
     "sigqueue($module, pid, signalnum, value=0, /)\n--\n\n"
     "Send a signal with a value: Event.value of the receiver."},
    {nullptr, nullptr, 0, nullptr},
};

} // namespace

int add_waits(PyObject* module) { return add_functions(module, functions); }

} // namespace tocsin::python
