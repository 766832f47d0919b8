// signal(), getsignal() and what the main thread does when a signal has come.
//
//     trip routine of tocsin: records, then tells the interpreter (hook.cpp), by calling the interpreter's own handler
//     the interpreter, at its next safe point on the main thread: calls what its module _signal has for that number
//     that is come_to_safe_point(): runs the handlers of tocsin that are pending
//
// So _signal is told once for a number that it has something to call, and knows nothing else. The disposition is tocsin's.

#include "handlers.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include <tocsin/tocsin.hpp>

#include "arguments.hpp"
#include "hook.hpp"
#include "module.hpp"

namespace tocsin::python {
namespace {

struct entry {
    PyObject* handler = nullptr; // what signal() has set, if it is a callable
    PyObject* other = nullptr;   // what getsignal() says if it is not, while _signal has come_to_safe_point()
    bool wants_event = false;
    bool watched = false; // _signal has come_to_safe_point()
    int subscribers = 0;
    // Subscriptions of all threads that stand in the place of the handler, or chain. One set later is none they know.
    unsigned long generation = 0;
    unsigned preceding = 0;
    unsigned chaining = 0;

    [[nodiscard]] bool is_preceded() const noexcept { return preceding != 0 && chaining == 0; }
};

// Of the main interpreter, used with its lock.
std::array<entry, nsig> entries;
PyObject* safe_point = nullptr; // come_to_safe_point(), for _signal
int wakeup_fd = -1;
signal_set to_untell;     // what _signal has come_to_safe_point() for, and need not have once tocsin has it for nobody
pid_t wakeup_process = 0; // that has set it: in a forked child it is off

entry& entry_of(int sig) noexcept { return entries[static_cast<std::size_t>(sig)]; }

void set_reference(PyObject*& place, PyObject* value)
{
    Py_XINCREF(value);
    const object before(std::exchange(place, value));
}

// A function or method with three parameters that must be given. The documented module calls with two.
bool wants_event(PyObject* handler)
{
    const auto attribute = [](PyObject* of, const char* name) {
        object found(PyObject_GetAttrString(of, name));
        if (!found)
            PyErr_Clear();
        return found;
    };
    object function = object::borrowed(handler);
    long bound = 0;
    if (object inner = attribute(handler, "__func__")) {
        function = std::move(inner);
        bound = 1;
    }
    const object code = attribute(function.get(), "__code__");
    const object count = code ? attribute(code.get(), "co_argcount") : object();
    if (!count || !PyLong_Check(count.get()))
        return false;
    const object defaults = attribute(function.get(), "__defaults__");
    const Py_ssize_t optional = defaults && PyTuple_Check(defaults.get()) ? PyTuple_Size(defaults.get()) : 0;
    return PyLong_AsLong(count.get()) - bound - static_cast<long>(optional) == 3;
}

object current_frame()
{
    PyFrameObject* const frame = PyEval_GetFrame();
    return object::borrowed(frame == nullptr ? Py_None : reinterpret_cast<PyObject*>(frame));
}

void call_handler(int sig, const event* e)
{
    entry& it = entry_of(sig);
    if (it.handler == nullptr)
        return;
    const object handler = object::borrowed(it.handler); // it may replace itself
    const object frame = current_frame();
    const object info = e != nullptr ? make_event(*e) : object::borrowed(Py_None);
    call(handler.get(), it.wants_event ? checked(Py_BuildValue("(iOO)", sig, frame.get(), info.get()))
                                       : checked(Py_BuildValue("(iO)", sig, frame.get())));
}

// tocsin's handler for every signal. The lock may have been given away by a call that waits.
void run_handler(const event& e)
{
    const with_lock lock;
    stop_nudge();
    if (!entry_of(e.signo).is_preceded())
        call_handler(e.signo, &e);
}

// An exception that leaves keeps the rest pending: the interpreter must come again.
void run_ours()
{
    try {
        check_signals();
    } catch (...) {
        tell_again();
        throw;
    }
}

// What the standard module's handlers are for waits in a defer() too: its entries are ours meanwhile.
struct {
    unsigned depth = 0;
    pthread_t thread{};
    signal_set watched;
    signal_set postponed;

    // Not in a child that another thread has forked.
    [[nodiscard]] bool is_on() const noexcept { return depth != 0 && ::pthread_equal(thread, ::pthread_self()) != 0; }
} deferral;

void call_simulated(int sig)
{
    const entry& it = entry_of(sig);
    if (it.handler == nullptr && it.other != nullptr && PyCallable_Check(it.other) != 0) { // there was one before ours
        const object before = object::borrowed(it.other);
        const object frame = current_frame();
        call(before.get(), checked(Py_BuildValue("(iO)", sig, frame.get())));
    }
    call_handler(sig, nullptr);
}

// True while finish_telling() has the interpreter come for what is no news.
std::array<bool, nsig> finishing{};

// interrupt_main() and PyErr_SetInterruptEx() make the interpreter believe that a signal came; or one did for which only the
// standard module has a handler.
void simulate(int sig)
{
    if (wakeup_fd >= 0 && wakeup_process == ::getpid()) {
        const auto byte = static_cast<unsigned char>(sig);
        if (::write(wakeup_fd, &byte, 1) < 0) { // full: whoever reads it is awake
        }
    }
    if (deferral.is_on())
        deferral.postponed.insert(sig);
    else
        call_simulated(sig);
}

// While tell_standard() has the interpreter come for what it may have got alone, in the place of tocsin.
int being_told = 0;

PyObject* come_to_safe_point(PyObject*, PyObject* arguments)
{
    return guarded([&]() -> PyObject* {
        int sig = 0;
        PyObject* frame = nullptr;
        if (PyArg_ParseTuple(arguments, "iO", &sig, &frame) == 0)
            return nullptr;
        if (sig < 1 || sig >= nsig)
            raise(PyExc_ValueError, "signal number out of range");
        stop_nudge();
        bool& finishes = finishing[static_cast<std::size_t>(sig)];
        const bool real = was_told(sig) || finishes;
        if (real && !finishes) {
            const struct until_end {
                explicit until_end(bool& which)
                    : flag(which)
                {
                    flag = true;
                }
                ~until_end() { flag = false; }
                bool& flag;
            } mark(finishes);
            try {
                finish_telling(sig);
            } catch (...) { // of another signal's handler: what this one came for is still pending
                tell_again();
                throw;
            }
        }
        run_ours();
        if (!real && sig == being_told)
            ::kill(::getpid(), sig);
        else if (!real)
            simulate(sig);
        Py_RETURN_NONE;
    });
}

PyMethodDef safe_point_definition = {"safe_point", come_to_safe_point, METH_VARARGS,
                                     "What _signal calls for the signals that tocsin handles."};

// What the interpreter sets has no SA_SIGINFO.
bool is_of_tocsin(const struct sigaction& action) noexcept { return (action.sa_flags & SA_SIGINFO) != 0; }

// tocsin has the signal, for an inbox if not for the main thread.
bool is_delivered(int sig) noexcept
{
    struct sigaction now = {};
    return ::sigaction(sig, nullptr, &now) == 0 && is_of_tocsin(now);
}

// Has _signal call `what` for the signal; the kernel's disposition stays as it is. In between it is what _signal sets. What
// arrives then is for the handler that is being set; if tocsin had it for others, it is sent again.
void tell_standard(int sig, PyObject* what)
{
    const defer_signals guard; // no handler of ours changes it meanwhile
    struct sigaction before = {};
    if (::sigaction(sig, nullptr, &before) != 0)
        raise_errno(errno);
    const object function = standard("signal");
    const object result = checked(PyObject_CallFunction(function.get(), "iO", sig, what));
    ::sigaction(sig, &before, nullptr);
    if (what != safe_point || !is_of_tocsin(before))
        return;
    being_told = sig;
    const int come = PyErr_CheckSignals();
    being_told = 0;
    if (come < 0)
        throw error_is_set();
}

object ask_standard(int sig)
{
    const object function = standard("getsignal");
    return checked(PyObject_CallFunction(function.get(), "i", sig));
}

object current(int sig)
{
    object known = ask_standard(sig);
    if (!in_main_interpreter()) // a handler is the main interpreter's: objects are not shared
        return PyLong_Check(known.get()) ? std::move(known) : object::borrowed(Py_None);
    if (known.get() != safe_point)
        return known;
    const entry& it = entry_of(sig);
    PyObject* const ours = it.handler != nullptr ? it.handler : it.other;
    return object::borrowed(ours == nullptr ? Py_None : ours);
}

// The first exception leaves; after it, the interpreter calls the others.
void undo_deferral()
{
    const signal_set watched = std::exchange(deferral.watched, signal_set());
    const signal_set postponed = std::exchange(deferral.postponed, signal_set());
    for (const signum sig : watched) {
        count_subscriber(sig, -1);
    }
    {
        const kept_exception first;
        attempt(untell);
    }
    for (const signum sig : postponed) {
        if (PyErr_Occurred() != nullptr) {
            interrupt(sig);
            continue;
        }
        attempt([&] {
            const object known = ask_standard(sig);
            if (known.get() == safe_point)
                return call_simulated(sig);
            if (PyCallable_Check(known.get()) != 0)
                call(known.get(), checked(Py_BuildValue("(iO)", static_cast<int>(sig), current_frame().get())));
        });
    }
    rethrow_exception();
}

void find_interpreter_handler(int sig)
{
    // After _signal has installed it for `sig`.
    struct sigaction now = {};
    if (::sigaction(sig, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) == 0)
        set_interpreter_handler(now.sa_handler);
}

PyObject* after_fork_in_child(PyObject*, PyObject*)
{
    renew_after_fork();
    Py_RETURN_NONE;
}

PyMethodDef after_fork_definition = {"after_fork_in_child", after_fork_in_child, METH_NOARGS, nullptr};

void watch_forks()
{
    const object os = checked(PyImport_ImportModule("os"));
    const object at_fork = checked(PyObject_GetAttrString(os.get(), "register_at_fork"));
    const object function = checked(PyCFunction_New(&after_fork_definition, nullptr));
    const object none = checked(PyTuple_New(0));
    const object keyword = checked(Py_BuildValue("{sO}", "after_in_child", function.get()));
    checked(PyObject_Call(at_fork.get(), none.get(), keyword.get()));
}

} // namespace

// The interpreter's own handler is found by having it installed once, for a signal that does nothing by default.
void prepare()
{
    static bool done = false;
    if (done)
        return;
    install_hook();
    const defer_signals guard;
    const object set = standard("signal");
    struct sigaction before = {};
    for (const int sig : {SIGURG, SIGWINCH, SIGCONT, SIGCHLD}) {
        ::sigaction(sig, nullptr, &before);
        const object known = ask_standard(sig);
        if (before.sa_handler != SIG_DFL || !PyLong_Check(known.get()))
            continue;
        checked(PyObject_CallFunction(set.get(), "iO", sig, safe_point));
        find_interpreter_handler(sig);
        for (bool told = false; !told;) { // a standard handler that raises in there stops it before anything is set
            const kept_exception first;
            attempt([&] { checked(PyObject_CallFunction(set.get(), "iO", sig, known.get())); });
            told = PyErr_Occurred() == nullptr;
        }
        ::sigaction(sig, &before, nullptr);
        {
            const kept_exception first;
            watch_forks();
            done = true;
        }
        return rethrow_exception();
    }
    raise(PyExc_RuntimeError, "tocsin: SIGURG, SIGWINCH, SIGCONT and SIGCHLD are all in use: the interpreter's handler "
                              "cannot be found");
}

namespace {

void forget(entry& it)
{
    it.wants_event = false;
    set_reference(it.handler, nullptr);
}

object set_callable(int sig, PyObject* handler)
{
    object previous = current(sig);
    leave_to_program({sig}, true);
    const bool wants = wants_event(handler);
    watch(sig); // handlers of the standard module may run there, and set this signal: the later call counts, this one
    entry& it = entry_of(sig);
    const object before = object::borrowed(it.handler);
    const bool wanted_event = it.wants_event;
    it.wants_event = wants;
    set_reference(it.handler, handler);
    try {
        tocsin::signal(sig, run_handler);
    } catch (...) {
        PyObject *type, *value, *trace;
        PyErr_Fetch(&type, &value, &trace);
        it.wants_event = wanted_event;
        set_reference(it.handler, before.get());
        PyErr_Restore(type, value, trace);
        throw;
    }
    set_restarting(sig, false);
    prepare_nudge();
    return previous;
}

object set_plain(int sig, PyObject* number, disposition what)
{
    object previous = current(sig);
    leave_to_program({sig}, true);
    tocsin::signal(sig, what); // an arrival just before it is still for the handler
    entry& it = entry_of(sig);
    forget(it);
    if (it.subscribers == 0 && !is_delivered(sig)) {
        tell_standard(sig, number);
        it.watched = false;
        return previous;
    }
    watch(sig);
    set_reference(it.other, number);
    if (it.subscribers == 0)
        to_untell.insert(sig);
    return previous;
}

PyObject* signal_function(PyObject*, PyObject* arguments)
{
    return guarded([&]() -> PyObject* {
        PyObject *number = nullptr, *what = nullptr;
        if (PyArg_ParseTuple(arguments, "OO:signal", &number, &what) == 0)
            return nullptr;
        const int sig = to_int(number);
        require_main_thread("signal");
        if (sig < 1 || sig >= nsig)
            raise(PyExc_ValueError, "signal number out of range");
        long plain = -1;
        if (PyCallable_Check(what) == 0) {
            if (PyLong_CheckExact(what))
                plain = PyLong_AsLong(what);
            PyErr_Clear(); // huge
            if (plain != 0 && plain != 1)
                raise(PyExc_TypeError, "signal handler must be signal.SIG_IGN, signal.SIG_DFL, or a callable object");
        }
        run_pending();
        prepare();
        object previous =
            plain < 0 ? set_callable(sig, what) : set_plain(sig, what, plain == 1 ? ignore : default_action);
        entry& it = entry_of(sig);
        ++it.generation;
        it.preceding = it.chaining = 0;
        tell_again(); // what came under the guards
        return previous.release();
    });
}

PyObject* getsignal_function(PyObject*, PyObject* number)
{
    return guarded([&] { return current(to_signal(number)).release(); });
}

PyObject* adopt_function(PyObject*, PyObject*)
{
    return guarded([&]() -> PyObject* {
        require_main_thread("adopt");
        adopt_all();
        Py_RETURN_NONE;
    });
}

PyObject* in_main_thread_function(PyObject*, PyObject*) { return PyBool_FromLong(in_main_thread() ? 1 : 0); }

PyObject* set_wakeup_fd_function(PyObject*, PyObject* arguments, PyObject* keywords)
{
    return guarded([&]() -> PyObject* {
        static const char* names[] = {"", "warn_on_full_buffer", nullptr};
        PyObject* descriptor = nullptr;
        int fd = -1;
        int warn = 1;
        if (running_version() < 0x030D0000) { // from then on a number is refused in other words
            if (PyArg_ParseTupleAndKeywords(arguments, keywords, "i|$p:set_wakeup_fd", const_cast<char**>(names), &fd,
                                            &warn) == 0)
                return nullptr;
        } else {
            if (PyTuple_Size(arguments) > 1) {
                PyErr_Format(PyExc_TypeError, "set_wakeup_fd() takes exactly 1 positional argument (%zd given)",
                             PyTuple_Size(arguments));
                return nullptr;
            }
            if (PyArg_ParseTupleAndKeywords(arguments, keywords, "O|$p:set_wakeup_fd", const_cast<char**>(names),
                                            &descriptor, &warn) == 0)
                return nullptr;
            fd = to_int(descriptor);
        }
        require_main_thread("set_wakeup_fd");
        if (const int flags = ::fcntl(fd, F_GETFL); flags >= 0 && (flags & O_NONBLOCK) == 0) {
            PyErr_Format(PyExc_ValueError, "the fd %i must be in non-blocking mode", fd);
            return nullptr;
        }
        prepare();
        const int before = tocsin::set_wakeup_fd(fd, {.warn_on_full_buffer = warn != 0});
        wakeup_fd = fd;
        wakeup_process = ::getpid();
        return PyLong_FromLong(before);
    });
}

PyObject* add_wakeup_fd_function(PyObject*, PyObject* descriptor)
{
    return guarded([&]() -> PyObject* {
        const int fd = to_int(descriptor);
        require_main_thread("add_wakeup_fd");
        const int flags = ::fcntl(fd, F_GETFL);
        if (flags < 0)
            raise_errno(errno);
        if ((flags & O_NONBLOCK) == 0) {
            PyErr_Format(PyExc_ValueError, "the fd %i must be in non-blocking mode", fd);
            return nullptr;
        }
        prepare();
        if (!add_wake_descriptor(fd))
            raise(PyExc_ValueError, "there are 16 wakeup descriptors already");
        Py_RETURN_NONE;
    });
}

PyObject* remove_wakeup_fd_function(PyObject*, PyObject* descriptor)
{
    return guarded([&]() -> PyObject* {
        const int fd = to_int(descriptor);
        require_main_thread("remove_wakeup_fd");
        if (!remove_wake_descriptor(fd)) {
            PyErr_Format(PyExc_ValueError, "the fd %i is no wakeup descriptor", fd);
            return nullptr;
        }
        install_hook(); // when it returns, no thread is about to write there
        Py_RETURN_NONE;
    });
}

PyObject* siginterrupt_function(PyObject*, PyObject* arguments)
{
    return guarded([&]() -> PyObject* {
        PyObject *number = nullptr, *flag = nullptr;
        if (PyArg_UnpackTuple(arguments, "siginterrupt", 2, 2, &number, &flag) == 0)
            return nullptr;
        const int sig = to_int(number);
        const bool interrupting = to_int(flag) != 0;
        if (sig < 1 || sig >= nsig)
            raise(PyExc_ValueError, "signal number out of range");
        tocsin::siginterrupt(sig, interrupting);
        set_restarting(sig, !interrupting);
        Py_RETURN_NONE;
    });
}

PyObject* strsignal_function(PyObject*, PyObject* number)
{
    return guarded([&]() -> PyObject* {
        const auto text = tocsin::strsignal(to_signal(number));
        if (!text)
            Py_RETURN_NONE;
        return PyUnicode_FromString(text->c_str());
    });
}

PyObject* valid_signals_function(PyObject*, PyObject*)
{
    return guarded([&] { return from_signal_set(tocsin::valid_signals()); });
}

PyObject* nudge_signals_function(PyObject*, PyObject*)
{
    return guarded([&] {
        signal_set set;
        if (const auto sig = tocsin::nudge_signal())
            set.insert(*sig);
        if (const int sig = nudge_signal_in_use(); sig != 0)
            set.insert(sig);
        return from_signal_set(set);
    });
}

PyMethodDef functions[] = {
    {"signal", signal_function, METH_VARARGS,
     "signal($module, signalnum, handler, /)\n--\n\n"
     "Set what happens when a signal arrives, and return what happened before.\n\n"
     "The handler is signal.SIG_DFL, signal.SIG_IGN or a callable. It is called on the main\n"
     "thread with the signal's number and the interrupted stack frame; one that must be given a\n"
     "third argument gets an Event that tells who sent the signal."},
    {"getsignal", getsignal_function, METH_O,
     "getsignal($module, signalnum, /)\n--\n\n"
     "Return what happens when a signal arrives: SIG_DFL, SIG_IGN, a callable, or None if\n"
     "other code than Python has set it."},
    {"set_wakeup_fd", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(set_wakeup_fd_function)),
     METH_VARARGS | METH_KEYWORDS,
     "set_wakeup_fd($module, fd, /, *, warn_on_full_buffer=True)\n--\n\n"
     "Have the number of every signal that arrives written to fd, as a byte. -1: to none.\n\n"
     "Returns the descriptor used before, or -1. In a forked child it is off."},
    {"add_wakeup_fd", add_wakeup_fd_function, METH_O,
     "add_wakeup_fd($module, fd, /)\n--\n\n"
     "Have signal numbers written to a further descriptor, beside that of set_wakeup_fd()."},
    {"remove_wakeup_fd", remove_wakeup_fd_function, METH_O,
     "remove_wakeup_fd($module, fd, /)\n--\n\n"
     "End what add_wakeup_fd() began. The descriptor may be closed after that."},
    {"siginterrupt", siginterrupt_function, METH_VARARGS,
     "siginterrupt($module, signalnum, flag, /)\n--\n\n"
     "With a false flag, system calls are restarted after the signal."},
    {"strsignal", strsignal_function, METH_O,
     "strsignal($module, signalnum, /)\n--\n\n"
     "Return what the system calls the signal, or None if it has no name."},
    {"valid_signals", valid_signals_function, METH_NOARGS,
     "valid_signals($module, /)\n--\n\n"
     "Return the set of the signal numbers there are."},
    {"adopt", adopt_function, METH_NOARGS,
     "adopt($module, /)\n--\n\n"
     "Take over every signal for which the standard module has a handler. Nothing else changes."},
    {"in_main_thread", in_main_thread_function, METH_NOARGS,
     "in_main_thread($module, /)\n--\n\n"
     "Tell whether this is the main thread of the main interpreter, the one that has handlers."},
    {"nudge_signals", nudge_signals_function, METH_NOARGS,
     "nudge_signals($module, /)\n--\n\n"
     "Return the signals that tocsin uses for itself at this moment."},
    {nullptr, nullptr, 0, nullptr},
};

} // namespace

bool in_main_thread() noexcept { return ::syscall(SYS_gettid) == ::getpid() && in_main_interpreter(); }

void require_main_thread(const char* function)
{
    if (in_main_thread())
        return;
    PyErr_Format(PyExc_ValueError, "%s only works in main thread of the main interpreter", function);
    throw error_is_set();
}

void watch(int sig)
{
    entry& it = entry_of(sig);
    const object known = ask_standard(sig);
    if (known.get() != safe_point) {
        set_reference(it.other, known.get());
        tell_standard(sig, safe_point);
    }
    it.watched = true;
}

void count_subscriber(int sig, int change)
{
    entry& it = entry_of(sig);
    it.subscribers += change;
    if (it.subscribers == 0 && it.handler == nullptr && it.watched)
        to_untell.insert(sig);
}

bool has_to_untell() noexcept { return !to_untell.empty(); }

void untell()
{
    for (const signum sig : signal_set(to_untell)) {
        entry& it = entry_of(sig);
        const bool watches = it.subscribers != 0 || it.handler != nullptr || !it.watched;
        if (!watches && is_delivered(sig))
            continue; // to others: it would have the default action for a moment
        to_untell.erase(sig);
        if (watches)
            continue;
        const object before = object::borrowed(it.other);
        it.watched = false;
        if (!before || before.get() == Py_None) // None: other code's, which _signal cannot be told
            continue;
        if (const object known = ask_standard(sig); known.get() == safe_point) // else it has been told something new
            tell_standard(sig, before.get());
    }
}

void leave_at_exit()
{
    const object ignored = checked(PyLong_FromLong(1)); // SIG_IGN, the only one that the interpreter's end leaves alone
    for (int sig = 1; sig < nsig; ++sig) {
        entry& it = entry_of(sig);
        if (it.watched && it.handler == nullptr && it.subscribers == 0 && is_delivered(sig)) {
            it.watched = false;
            tell_standard(sig, ignored.get());
        }
    }
}

precedence begin_precedence(int sig, bool chain)
{
    entry& it = entry_of(sig);
    ++(chain ? it.chaining : it.preceding);
    return {it.generation, chain};
}

void end_precedence(int sig, const precedence& what)
{
    entry& it = entry_of(sig);
    if (it.generation == what.generation)
        --(what.chain ? it.chaining : it.preceding);
}

void adopt(int sig)
{
    object known = ask_standard(sig);
    if (known.get() == safe_point) {
        const entry& it = entry_of(sig);
        if (it.handler != nullptr || it.other == nullptr)
            return;
        known = object::borrowed(it.other); // somebody is subscribed
    }
    if (PyCallable_Check(known.get()) != 0)
        set_callable(sig, known.get());
}

void adopt_all()
{
    prepare();
    for (int sig = 1; sig < nsig; ++sig)
        adopt(sig);
    tell_again();
}

void begin_deferral()
{
    if (deferral.is_on()) {
        ++deferral.depth;
        return;
    }
    prepare();
    deferral = {};
    for (int sig = 1; sig < nsig; ++sig) {
        const object known = ask_standard(sig);
        if (PyCallable_Check(known.get()) == 0 || known.get() == safe_point)
            continue;
        attempt([&] { watch(sig); });
        if (PyErr_Occurred() != nullptr) { // a handler that was due has raised
            undo_deferral();
            throw error_is_set();
        }
        count_subscriber(sig, 1);
        deferral.watched.insert(sig);
    }
    deferral.depth = 1;
    deferral.thread = ::pthread_self();
}

void end_deferral()
{
    if (deferral.is_on() && --deferral.depth == 0)
        undo_deferral();
    run_pending();
}

void abandon_deferral() noexcept
{
    const kept_exception before;
    attempt([] {
        if (!deferral.is_on() || --deferral.depth != 0)
            return;
        for (const signum sig : std::exchange(deferral.postponed, signal_set()))
            interrupt(sig);
        undo_deferral();
    });
    if (PyErr_Occurred() != nullptr)
        PyErr_WriteUnraisable(nullptr);
    tell_again();
}

bool has_handler(int sig)
{
    const object known = ask_standard(sig);
    return known.get() == safe_point && entry_of(sig).handler != nullptr;
}

bool is_watched(int sig) { return entry_of(sig).watched; }

void look_again()
{
    if (in_main_thread())
        tell_again();
}

void call(PyObject* callable, object arguments)
{
    const object result = checked(or_stop([&] { return PyObject_CallObject(callable, arguments.get()); }));
}

void run_pending()
{
    if (PyErr_CheckSignals() < 0)
        throw error_is_set();
    if (in_main_thread())
        run_ours();
}

int add_handlers(PyObject* module)
{
    if (safe_point == nullptr && in_main_interpreter()) {
        safe_point = PyCFunction_New(&safe_point_definition, nullptr);
        if (safe_point == nullptr)
            return -1;
    }
    return add_functions(module, functions);
}

} // namespace tocsin::python
