// on(), Inbox, Subscription, defer().
//
// A Subscription that is active is held: one of the main thread by `live`, one of an inbox by that. The engine's callback has
// but its address, so that nothing of Python ends inside the engine. All of it is used with the interpreter's lock, which is
// given away where the engine waits: for the callback of another thread (end()) and for signals (Inbox.next()).

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tocsin/tocsin.hpp>

#include "arguments.hpp"
#include "handlers.hpp"
#include "hook.hpp"
#include "module.hpp"

#include <structmember.h> // after Python.h

namespace tocsin::python {
namespace {

struct inbox_object;

struct subscription_object {
    PyObject_HEAD PyObject* weak_references;
    PyObject* callback; // null: there is none, or it has ended
    inbox_object* home; // whose it is while active; null: the main thread's, or it has ended
    subscription* engine;
    signal_set signals; // while it is active
    std::vector<std::pair<int, precedence>>* preceding;
    bool of_main;
    bool once;
    bool ended;
};

struct inbox_object {
    PyObject_HEAD PyObject* weak_references;
    inbox* engine; // null once closed and left
    std::vector<subscription_object*>* subscriptions;
    // The thread in a call of it, how deep, and the process it is in.
    pthread_t user;
    pid_t user_process;
    int depth;
    bool closed;
};

struct defer_object {
    PyObject_HEAD std::vector<std::unique_ptr<defer_signals>>* guards;
    pthread_t user;
};

PyTypeObject* subscription_type = nullptr; // of the main interpreter, the only one with handlers
PyTypeObject* inbox_type = nullptr;
PyTypeObject* defer_type = nullptr;
std::vector<subscription_object*>& live() // those of the main thread
{
    static auto* const all = new std::vector<subscription_object*>; // never destroyed
    return *all;
}
// Whose end the main thread has not taken note of: they ended on other threads.
std::vector<int>& ended_elsewhere()
{
    static auto* const all = new std::vector<int>;
    return *all;
}

template <class Object>
Object& as(PyObject* self) noexcept
{
    return *reinterpret_cast<Object*>(self);
}
template <class Object>
PyObject* as_python(Object& self) noexcept
{
    return reinterpret_cast<PyObject*>(&self);
}

// ---- the end of a subscription

void uncount_those_ended_elsewhere()
{
    auto& all = ended_elsewhere();
    while (!all.empty()) {
        const int sig = all.back();
        all.pop_back();
        count_subscriber(sig, -1);
    }
    untell();
}

int uncount_later(void*)
{
    return guarded([]() -> PyObject* {
               attempt(uncount_those_ended_elsewhere);
               look_again(); // it may have taken what the interpreter was told
               rethrow_exception();
               return Py_None;
           }) == nullptr
               ? -1
               : 0;
}

void uncount(const signal_set& signals)
{
    for (const signum sig : signals)
        ended_elsewhere().push_back(sig);
    if (in_main_thread()) {
        for (bool again = true; again;) { // a handler that raises stops none of them
            const kept_exception first;
            attempt(uncount_those_ended_elsewhere);
            again = PyErr_Occurred() != nullptr && !ended_elsewhere().empty();
        }
        look_again();
    } else if (!signals.empty() || has_to_untell()) {
        Py_AddPendingCall(uncount_later, nullptr); // refused: with the next subscription
    }
}

template <class List>
bool remove_from(List& list, subscription_object& self) noexcept
{
    const auto found = std::find(list.begin(), list.end(), &self);
    if (found == list.end())
        return false;
    list.erase(found);
    return true;
}

// After the engine's subscription has ended: lets go of all. The first time; `self` is the caller's.
void finish(subscription_object& self)
{
    if (std::exchange(self.ended, true))
        return;
    const kept_exception first;
    for (const auto& [sig, what] : *self.preceding)
        end_precedence(sig, what);
    self.preceding->clear();
    const signal_set signals = std::exchange(self.signals, signal_set());
    inbox_object* const home = std::exchange(self.home, nullptr);
    const object callback(std::exchange(self.callback, nullptr));
    const bool held = remove_from(home != nullptr ? *home->subscriptions : live(), self);
    const object mine(held ? as_python(self) : nullptr); // its reference
    if (self.of_main || has_to_untell())
        uncount(self.of_main ? signals : signal_set());
}

// Errors: what callbacks raise with pending="run", or a handler that was due.
void end(subscription_object& self)
{
    const object keep = object::borrowed(as_python(self));
    if (self.ended)
        return;
    attempt([&] {
        const without_lock others; // the callback may run on another thread
        self.engine->cancel();
    });
    finish(self);
    rethrow_exception();
}

// What the engine calls.
struct caller {
    subscription_object* subscribed;

    void operator()(const event& e) const
    {
        const with_lock lock;
        subscription_object& self = *subscribed;
        const object keep = object::borrowed(as_python(self));
        const object callback = object::borrowed(self.callback);
        if (self.of_main && in_main_thread())
            stop_nudge();
        attempt([&] {
            if (callback)
                call(callback.get(), checked(PyTuple_Pack(1, make_event(e).get())));
        });
        if (self.once) // the engine has ended it
            finish(self);
        rethrow_exception();
    }
};

// ---- the beginning

struct arguments {
    signal_set signals;
    object callback;
    subscription_options options;
};

template <class Value, std::size_t N>
Value choose(const char* name, const char* given, const std::pair<const char*, Value> (&choices)[N])
{
    std::string all;
    for (const auto& [text, value] : choices) {
        if (std::string_view(text) == given)
            return value;
        all += (all.empty() ? "'" : ", '") + std::string(text) + "'";
    }
    PyErr_Format(PyExc_ValueError, "%s must be one of %s, not '%s'", name, all.c_str(), given);
    throw error_is_set();
}

signal_set to_signals(PyObject* given)
{
    if (PyIndex_Check(given) == 0)
        return to_signal_set(given);
    signal_set one;
    one.insert(to_signal(given));
    return one;
}

arguments parse(PyObject* positional, PyObject* keywords, const char* format)
{
    static const char* names[] = {"",     "callback",          "delivery",       "capacity", "chain",
                                  "once", "second_is_default", "respect_ignore", "pending",  nullptr};
    PyObject *signals = nullptr, *callback = Py_None;
    const char *delivered = "merge", *pending = "redeliver";
    Py_ssize_t capacity = 1024;
    int chain = 0, once = 0, second = 0, respect = 0;
    if (PyArg_ParseTupleAndKeywords(positional, keywords, format, const_cast<char**>(names), &signals, &callback,
                                    &delivered, &capacity, &chain, &once, &second, &respect, &pending) == 0)
        throw error_is_set();
    arguments all;
    all.options.delivery = choose<delivery>(
        "delivery", delivered, {{"merge", delivery::merge}, {"count", delivery::count}, {"queue", delivery::queue}});
    all.options.pending = choose<at_cancel>(
        "pending", pending, {{"redeliver", at_cancel::redeliver}, {"drop", at_cancel::drop}, {"run", at_cancel::run}});
    all.options.capacity = capacity < 0 ? 0 : static_cast<std::size_t>(capacity); // 0 is refused
    all.options.chain = chain != 0;
    all.options.once = once != 0;
    all.options.second_is_default = second != 0;
    all.options.respect_ignore = respect != 0;
    if (callback != Py_None && PyCallable_Check(callback) == 0)
        raise(PyExc_TypeError, "the callback must be callable");
    if (callback != Py_None)
        all.callback = object::borrowed(callback);
    all.signals = to_signals(signals);
    return all;
}

// The handler before is to be called too. The engine calls what other code has set, with `chain`; what is ours runs anyway.
void prepare_chain(arguments& all, bool of_main)
{
    if (!all.options.chain)
        return;
    all.options.chain = false;
    for (const signum sig : all.signals) {
        if (in_main_thread() && (of_main || is_watched(sig)))
            adopt(sig);
        all.options.chain |= !has_handler(sig);
    }
}

object make_subscription(arguments all, inbox_object* home)
{
    object made = checked(PyType_GenericAlloc(subscription_type, 0));
    auto& self = as<subscription_object>(made.get());
    self.ended = true; // for its destruction
    self.of_main = home == nullptr;
    self.once = all.options.once;
    self.preceding = new std::vector<std::pair<int, precedence>>;
    self.preceding->reserve(all.signals.size());
    self.engine = new subscription;
    auto& list = home != nullptr ? *home->subscriptions : live();
    list.reserve(list.size() + 1);
    self.callback = all.callback.release();

    const bool chains = all.options.chain;
    prepare_chain(all, home == nullptr);
    if (home != nullptr && home->closed) // by a handler meanwhile
        raise(PyExc_ValueError, "the inbox is closed");
    // The interpreter's blocking calls come to a safe point, those of an inbox's thread need not.
    all.options.restart = home != nullptr && !chains;
    if (home == nullptr) {
        ended_elsewhere().reserve(ended_elsewhere().size() + all.signals.size());
        *self.engine = tocsin::on(all.signals, caller{&self}, all.options);
    } else if (self.callback != nullptr) {
        *self.engine = home->engine->on(all.signals, caller{&self}, all.options);
    } else {
        *self.engine = home->engine->on(all.signals, all.options);
    }
    self.signals = self.engine->subscribed_signals();
    for (const signum sig : self.signals)
        self.preceding->emplace_back(sig, begin_precedence(sig, chains));
    self.home = home;
    self.ended = false;
    list.push_back(&self);
    Py_INCREF(made.get());
    return made;
}

PyObject* at_exit(PyObject*, PyObject*)
{
    return guarded([]() -> PyObject* {
        while (!live().empty()) {
            const kept_exception first;
            attempt([] { end(*live().back()); });
        }
        rethrow_exception();
        leave_at_exit();
        Py_RETURN_NONE;
    });
}

PyMethodDef at_exit_definition = {"end_subscriptions", at_exit, METH_NOARGS, nullptr};

// What was there before is put back while the interpreter can still be told.
void end_all_at_exit()
{
    static bool done = false;
    if (done)
        return;
    const object module = checked(PyImport_ImportModule("atexit"));
    const object function = checked(PyCFunction_New(&at_exit_definition, nullptr));
    checked(PyObject_CallMethod(module.get(), "register", "O", function.get()));
    done = true;
}

PyObject* on_function(PyObject*, PyObject* positional, PyObject* keywords)
{
    return guarded([&] {
        arguments all = parse(positional, keywords, "OO|$snpppps:on");
        require_main_thread("on");
        run_pending();
        prepare();
        end_all_at_exit();
        uncount_those_ended_elsewhere();
        signal_set counted;
        object made;
        const signal_set signals = all.signals;
        attempt([&] {
            if (!all.callback)
                raise(PyExc_TypeError, "the callback must be callable");
            for (const signum sig : signals) {
                if (sig == SIGKILL || sig == SIGSTOP)
                    continue; // the engine refuses them
                leave_to_program({sig}, true);
                watch(sig);
                count_subscriber(sig, 1);
                counted.insert(sig);
            }
            made = make_subscription(std::move(all), nullptr);
            for (const signum sig : as<subscription_object>(made.get()).signals)
                counted.erase(sig);
        });
        uncount(counted); // what has failed, or stays ignored
        rethrow_exception();
        prepare_nudge();
        return made.release();
    });
}

// ---- Subscription

PyObject* subscription_cancel(PyObject* self, PyObject*)
{
    return guarded([&]() -> PyObject* {
        end(as<subscription_object>(self));
        Py_RETURN_NONE;
    });
}

PyObject* return_self(PyObject* self, PyObject*) { return object::borrowed(self).release(); }

PyObject* get_active(PyObject* self, void*)
{
    return PyBool_FromLong(static_cast<long>(as<subscription_object>(self).engine->active()));
}
PyObject* get_dropped(PyObject* self, void*)
{
    return PyLong_FromUnsignedLongLong(as<subscription_object>(self).engine->dropped());
}
PyObject* get_delivered(PyObject* self, void*)
{
    return PyLong_FromUnsignedLongLong(as<subscription_object>(self).engine->delivered());
}
PyObject* get_signals(PyObject* self, void*)
{
    return guarded([&] { return from_signal_set(as<subscription_object>(self).engine->subscribed_signals()); });
}

int traverse_subscription(PyObject* self, visitproc visit, void* arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(as<subscription_object>(self).callback);
    return 0;
}

// Only if nobody holds it: it has ended.
int clear_subscription(PyObject* self)
{
    Py_CLEAR(as<subscription_object>(self).callback);
    return 0;
}

void destroy_subscription(PyObject* pointer)
{
    auto& self = as<subscription_object>(pointer);
    PyTypeObject* const type = Py_TYPE(pointer);
    PyObject_GC_UnTrack(pointer);
    if (self.weak_references != nullptr)
        PyObject_ClearWeakRefs(pointer);
    clear_subscription(pointer);
    delete self.engine;
    delete self.preceding;
    PyObject_GC_Del(pointer);
    Py_DECREF(type);
}

PyObject* represent_subscription(PyObject* self)
{
    return guarded([&] {
        std::string names;
        for (const signum sig : as<subscription_object>(self).engine->subscribed_signals())
            names += (names.empty() ? " " : ", ") + sig.name();
        const std::string text = "<tocsin.Subscription" + (names.empty() ? " ended" : names) + ">";
        return PyUnicode_FromString(text.c_str());
    });
}

PyObject* refuse_subscription(PyTypeObject*, PyObject*, PyObject*)
{
    PyErr_SetString(PyExc_TypeError, "a Subscription is made by on()");
    return nullptr;
}

PyGetSetDef subscription_members[] = {
    {"active", get_active, nullptr, "The callback may still run.", nullptr},
    {"dropped", get_dropped, nullptr,
     "Arrivals that found no room in the queue. Calls and drops together are the arrivals.", nullptr},
    {"delivered", get_delivered, nullptr, "Calls of the callback, or events taken, so far.", nullptr},
    {"signals", get_signals, nullptr,
     "What it listens to: without those that respect_ignore left ignored. Empty at the end.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyMethodDef subscription_methods[] = {
    {"cancel", subscription_cancel, METH_NOARGS,
     "cancel($self, /)\n--\n\n"
     "End it, on any thread. No further callback runs when this returns: it waits for one that runs on\n"
     "another thread. What was there before the subscription is put back."},
    {"__enter__", return_self, METH_NOARGS, nullptr},
    {"__exit__", subscription_cancel, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyMemberDef subscription_layout[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(subscription_object, weak_references), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

PyType_Slot subscription_slots[] = {
    {Py_tp_doc, const_cast<char*>("What on() has begun. It lasts until cancel(), or the end of a with block.")},
    {Py_tp_dealloc, reinterpret_cast<void*>(destroy_subscription)},
    {Py_tp_traverse, reinterpret_cast<void*>(traverse_subscription)},
    {Py_tp_clear, reinterpret_cast<void*>(clear_subscription)},
    {Py_tp_repr, reinterpret_cast<void*>(represent_subscription)},
    {Py_tp_getset, subscription_members},
    {Py_tp_methods, subscription_methods},
    {Py_tp_members, subscription_layout},
    {Py_tp_new, reinterpret_cast<void*>(refuse_subscription)},
    {0, nullptr},
};

PyType_Spec subscription_specification = {"tocsin.Subscription", sizeof(subscription_object), 0,
                                          Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, subscription_slots};

// ---- Inbox

void raise_closed() { raise(PyExc_ValueError, "the inbox is closed"); }

void leave(inbox_object& self)
{
    if (--self.depth == 0 && self.closed)
        delete std::exchange(self.engine, nullptr);
}

// The thread that was in a call of it when another one forked does not exist here.
void forget_user_of_parent(inbox_object& self) noexcept
{
    if (self.depth != 0 && ::pthread_equal(self.user, ::pthread_self()) == 0 && self.user_process != ::getpid())
        self.depth = 0;
}

// A call of an inbox: one thread at a time, which may call it again from a callback.
class inside {
public:
    explicit inside(PyObject* self)
        : keep_(object::borrowed(self))
        , self_(as<inbox_object>(self))
    {
        if (self_.closed)
            raise_closed();
        forget_user_of_parent(self_);
        if (self_.depth != 0 && ::pthread_equal(self_.user, ::pthread_self()) == 0)
            raise(PyExc_RuntimeError, "the inbox is in use on another thread");
        if (self_.depth++ == 0) {
            self_.user = ::pthread_self();
            self_.user_process = ::getpid();
        }
    }
    inside(const inside&) = delete;
    inside& operator=(const inside&) = delete;
    ~inside() { leave(self_); }

    [[nodiscard]] inbox& engine() const noexcept { return *self_.engine; }
    [[nodiscard]] bool closed() const noexcept { return self_.closed; }

    // The next event; those that have ended with theirs are let go.
    std::optional<event> take()
    {
        std::optional<event> found = engine().try_next();
        auto& all = *self_.subscriptions;
        for (std::size_t n = all.size(); n-- > 0;) {
            if (n < all.size() && all[n]->once && !all[n]->engine->active()) {
                const object each = object::borrowed(as_python(*all[n]));
                finish(as<subscription_object>(each.get()));
            }
        }
        return found;
    }

    // False: wake(), the time is over, or closed.
    bool wait(const std::optional<std::chrono::steady_clock::time_point>& end)
    {
        if (in_main_thread()) {
            prepare(); // what the interpreter keeps runs meanwhile: Ctrl-C
            run_pending();
        }
        const without_lock others;
        if (!end)
            return engine().wait();
        return engine().wait(std::max(*end - std::chrono::steady_clock::now(), std::chrono::steady_clock::duration(0)));
    }

private:
    object keep_;
    inbox_object& self_;
};

std::optional<std::chrono::steady_clock::time_point> to_end(PyObject* positional, PyObject* keywords,
                                                            const char* format)
{
    static const char* names[] = {"timeout", nullptr};
    PyObject* timeout = Py_None;
    if (PyArg_ParseTupleAndKeywords(positional, keywords, format, const_cast<char**>(names), &timeout) == 0)
        throw error_is_set();
    if (timeout == Py_None)
        return std::nullopt;
    const auto limit = to_duration(timeout);
    if (limit.count() < 0)
        raise(PyExc_ValueError, "timeout must be non-negative");
    const auto now = std::chrono::steady_clock::now();
    if (limit > std::chrono::steady_clock::time_point::max() - now)
        return std::nullopt; // centuries
    return now + limit;
}

PyObject* make_inbox(PyTypeObject* type, PyObject* positional, PyObject* keywords)
{
    return guarded([&] {
        static const char* names[] = {nullptr};
        if (PyArg_ParseTupleAndKeywords(positional, keywords, ":Inbox", const_cast<char**>(names)) == 0)
            throw error_is_set();
        if (!in_main_interpreter())
            raise(PyExc_RuntimeError, "an Inbox only works in the main interpreter");
        object made = checked(PyType_GenericAlloc(type, 0));
        auto& self = as<inbox_object>(made.get());
        self.closed = true; // for its destruction
        self.subscriptions = new std::vector<subscription_object*>;
        self.engine = new inbox;
        self.closed = false;
        return made.release();
    });
}

// Errors: those of end(), after all have ended.
void close(inbox_object& self)
{
    if (std::exchange(self.closed, true))
        return;
    forget_user_of_parent(self);
    ++self.depth;
    while (!self.subscriptions->empty()) {
        const kept_exception first;
        attempt([&] { end(*self.subscriptions->back()); });
    }
    if (self.depth > 1)
        self.engine->wake(); // whoever waits there
    leave(self);
    rethrow_exception();
}

PyObject* inbox_close(PyObject* self, PyObject*)
{
    return guarded([&]() -> PyObject* {
        const object keep = object::borrowed(self);
        close(as<inbox_object>(self));
        Py_RETURN_NONE;
    });
}

PyObject* inbox_on(PyObject* pointer, PyObject* positional, PyObject* keywords)
{
    return guarded([&] {
        arguments all = parse(positional, keywords, "O|O$snpppps:on");
        const inside self(pointer);
        for (const signum sig : all.signals) {
            if (sig != nudge_signal_in_use())
                continue;
            require_main_thread("on() for a signal that tocsin uses");
            leave_to_program({sig}, true);
        }
        return make_subscription(std::move(all), &as<inbox_object>(pointer)).release();
    });
}

PyObject* inbox_fileno(PyObject* self, PyObject*)
{
    return guarded([&] {
        const inside it(self);
        return PyLong_FromLong(it.engine().native_handle());
    });
}

PyObject* inbox_run_pending(PyObject* self, PyObject*)
{
    return guarded([&] {
        const inside it(self);
        return PyLong_FromSize_t(it.engine().run_pending());
    });
}

PyObject* event_or_none(const std::optional<event>& found)
{
    return found ? make_event(*found).release() : object::borrowed(Py_None).release();
}

PyObject* inbox_try_next(PyObject* self, PyObject*)
{
    return guarded([&] { return event_or_none(inside(self).take()); });
}

std::optional<event> next(PyObject* self, const std::optional<std::chrono::steady_clock::time_point>& end)
{
    inside it(self);
    for (;;) {
        const bool last = end && *end <= std::chrono::steady_clock::now(); // callbacks may be due without end
        if (auto found = it.take(); found || last || it.closed())
            return found;
        if (!it.wait(end) || it.closed())
            return std::nullopt;
    }
}

PyObject* inbox_next(PyObject* self, PyObject* positional, PyObject* keywords)
{
    return guarded([&] { return event_or_none(next(self, to_end(positional, keywords, "|O:next"))); });
}

PyObject* inbox_wait(PyObject* self, PyObject* positional, PyObject* keywords)
{
    return guarded([&] {
        const auto end = to_end(positional, keywords, "|O:wait");
        inside it(self);
        return PyBool_FromLong(static_cast<long>(it.wait(end) && !it.closed()));
    });
}

PyObject* inbox_iterate(PyObject* self)
{
    return guarded([&]() -> PyObject* {
        if (as<inbox_object>(self).closed)
            return nullptr; // the end
        const auto found = next(self, std::nullopt);
        return found ? make_event(*found).release() : nullptr;
    });
}

PyObject* inbox_wake(PyObject* self, PyObject*)
{
    return guarded([&]() -> PyObject* {
        if (as<inbox_object>(self).closed)
            raise_closed();
        as<inbox_object>(self).engine->wake();
        Py_RETURN_NONE;
    });
}

PyObject* get_closed(PyObject* self, void*)
{
    return PyBool_FromLong(static_cast<long>(as<inbox_object>(self).closed));
}

int traverse_inbox(PyObject* self, visitproc visit, void* arg)
{
    Py_VISIT(Py_TYPE(self));
    if (const auto* const all = as<inbox_object>(self).subscriptions; all != nullptr) {
        for (subscription_object* const each : *all)
            Py_VISIT(as_python(*each));
    }
    return 0;
}

// Before it is cleared or destroyed. Nobody has it.
void finalize_inbox(PyObject* pointer)
{
    auto& self = as<inbox_object>(pointer);
    if (self.closed)
        return;
    const kept_exception before;
    if (PyErr_ResourceWarning(nullptr, 1, "unclosed tocsin.Inbox") < 0)
        PyErr_WriteUnraisable(nullptr); // warnings are errors
    attempt([&] { close(self); });
    if (PyErr_Occurred() != nullptr)
        PyErr_WriteUnraisable(nullptr);
}

int clear_inbox(PyObject* pointer)
{
    finalize_inbox(pointer);
    return 0;
}

void destroy_inbox(PyObject* pointer)
{
    auto& self = as<inbox_object>(pointer);
    PyTypeObject* const type = Py_TYPE(pointer);
    PyObject_GC_UnTrack(pointer);
    finalize_inbox(pointer); // callbacks may run there: they cannot get it
    if (self.weak_references != nullptr)
        PyObject_ClearWeakRefs(pointer);
    delete self.subscriptions;
    PyObject_GC_Del(pointer);
    Py_DECREF(type);
}

PyGetSetDef inbox_members[] = {
    {"closed", get_closed, nullptr, "close() has been called.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyMethodDef inbox_methods[] = {
    {"on", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(inbox_on)), METH_VARARGS | METH_KEYWORDS,
     "on($self, signals, /, callback=None, *, delivery='merge', capacity=1024, chain=False, once=False, "
     "second_is_default=False, respect_ignore=False, pending='redeliver')\n--\n\n"
     "Subscribe to a signal, or to each of an iterable. The callback runs in run_pending(), with an Event;\n"
     "without one, try_next(), next() and iteration return the events. The options are those of tocsin.on()."},
    {"fileno", inbox_fileno, METH_NOARGS,
     "fileno($self, /)\n--\n\n"
     "Return a descriptor that is readable while something is pending. Not to be read or closed."},
    {"run_pending", inbox_run_pending, METH_NOARGS,
     "run_pending($self, /)\n--\n\n"
     "Run the callbacks of what is pending, and return how many ran. What arrives meanwhile waits for the next call.\n"
     "The rest stays pending if a callback raises."},
    {"try_next", inbox_try_next, METH_NOARGS,
     "try_next($self, /)\n--\n\n"
     "Return the next event of a subscription without callback, or None. Callbacks of others run on the way."},
    {"next", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(inbox_next)), METH_VARARGS | METH_KEYWORDS,
     "next($self, /, timeout=None)\n--\n\n"
     "The same, waiting for it: None when timeout seconds are over, after wake(), or when another thread\n"
     "closes the inbox."},
    {"wait", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(inbox_wait)), METH_VARARGS | METH_KEYWORDS,
     "wait($self, /, timeout=None)\n--\n\n"
     "Wait until something is pending: True; False in the cases in which next() returns None."},
    {"wake", inbox_wake, METH_NOARGS,
     "wake($self, /)\n--\n\n"
     "End a next(), a wait() or an iteration that waits, or the next one that would. From any thread."},
    {"close", inbox_close, METH_NOARGS,
     "close($self, /)\n--\n\n"
     "End its subscriptions as cancel() does, and close the descriptor. From any thread."},
    {"__enter__", return_self, METH_NOARGS, nullptr},
    {"__exit__", inbox_close, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyMemberDef inbox_layout[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(inbox_object, weak_references), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

PyType_Slot inbox_slots[] = {
    {Py_tp_doc,
     const_cast<char*>(
         "Inbox()\n--\n\n"
         "Signals for one thread or one event loop, any in the process. Several may want the same signal: each gets\n"
         "it. An event loop watches fileno() and calls run_pending() or try_next(); a thread of its own calls next(),\n"
         "or iterates until wake() or close(). At most 63 at once; one thread at a time for each, but for wake() and\n"
         "close(). A forked child has its own, with nothing pending.")},
    {Py_tp_dealloc, reinterpret_cast<void*>(destroy_inbox)},
    {Py_tp_finalize, reinterpret_cast<void*>(finalize_inbox)},
    {Py_tp_traverse, reinterpret_cast<void*>(traverse_inbox)},
    {Py_tp_clear, reinterpret_cast<void*>(clear_inbox)},
    {Py_tp_getset, inbox_members},
    {Py_tp_methods, inbox_methods},
    {Py_tp_members, inbox_layout},
    {Py_tp_iter, reinterpret_cast<void*>(PyObject_SelfIter)},
    {Py_tp_iternext, reinterpret_cast<void*>(inbox_iterate)},
    {Py_tp_new, reinterpret_cast<void*>(make_inbox)},
    {0, nullptr},
};

PyType_Spec inbox_specification = {"tocsin.Inbox", sizeof(inbox_object), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
                                   inbox_slots};

// ---- defer

PyObject* make_defer(PyTypeObject* type, PyObject* positional, PyObject* keywords)
{
    return guarded([&] {
        static const char* names[] = {nullptr};
        if (PyArg_ParseTupleAndKeywords(positional, keywords, ":defer", const_cast<char**>(names)) == 0)
            throw error_is_set();
        object made = checked(PyType_GenericAlloc(type, 0));
        as<defer_object>(made.get()).guards = new std::vector<std::unique_ptr<defer_signals>>;
        return made.release();
    });
}

PyObject* defer_enter(PyObject* pointer, PyObject*)
{
    return guarded([&] {
        auto& self = as<defer_object>(pointer);
        if (self.guards->empty())
            self.user = ::pthread_self();
        else if (::pthread_equal(self.user, ::pthread_self()) == 0)
            raise(PyExc_RuntimeError, "defer() is in use on another thread");
        else
            self.guards->reserve(self.guards->size() + 1);
        auto guard = std::make_unique<defer_signals>();
        if (in_main_thread())
            begin_deferral();
        self.guards->push_back(std::move(guard));
        return object::borrowed(pointer).release();
    });
}

PyObject* defer_exit(PyObject* pointer, PyObject*)
{
    return guarded([&]() -> PyObject* {
        auto& self = as<defer_object>(pointer);
        if (self.guards->empty() || ::pthread_equal(self.user, ::pthread_self()) == 0)
            raise(PyExc_RuntimeError, "defer() has not been entered on this thread");
        self.guards->pop_back();
        if (in_main_thread())
            end_deferral();
        Py_RETURN_NONE;
    });
}

void destroy_defer(PyObject* pointer)
{
    auto& self = as<defer_object>(pointer);
    PyTypeObject* const type = Py_TYPE(pointer);
    if (self.guards != nullptr && !self.guards->empty()) { // somebody has called __enter__() only
        const bool mine = ::pthread_equal(self.user, ::pthread_self()) != 0;
        for (auto& each : *self.guards) {
            if (!mine)
                (void)each.release(); // it is not for this thread to end it: the main thread stays deferred
            each.reset();
            if (mine && in_main_thread())
                abandon_deferral();
        }
    }
    delete self.guards;
    PyObject_Free(pointer);
    Py_DECREF(type);
}

PyMethodDef defer_methods[] = {
    {"__enter__", defer_enter, METH_NOARGS, nullptr},
    {"__exit__", defer_exit, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot defer_slots[] = {
    {Py_tp_doc,
     const_cast<char*>(
         "defer()\n--\n\n"
         "A context manager: no signal handler and no callback of on() runs on the main thread in its block,\n"
         "KeyboardInterrupt included. Nothing is lost: what has arrived runs at the end of the outermost one, and\n"
         "leaves from there if it raises. On other threads, where none runs anyway, it does nothing.")},
    {Py_tp_dealloc, reinterpret_cast<void*>(destroy_defer)},
    {Py_tp_methods, defer_methods},
    {Py_tp_new, reinterpret_cast<void*>(make_defer)},
    {0, nullptr},
};

PyType_Spec defer_specification = {"tocsin.defer", sizeof(defer_object), 0, Py_TPFLAGS_DEFAULT, defer_slots};

PyMethodDef functions[] = {
    {"on", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(on_function)), METH_VARARGS | METH_KEYWORDS,
     "on($module, signals, /, callback, *, delivery='merge', capacity=1024, chain=False, once=False, "
     "second_is_default=False, respect_ignore=False, pending='redeliver')\n--\n\n"
     "Subscribe to a signal, or to each of an iterable: callback(event) runs on the main thread, as handlers do, until "
     "the\n"
     "Subscription returned is cancelled. Several callbacks for one signal run in the order of subscription.\n\n"
     "  delivery           how arrivals that come faster than the callback runs reach it: 'merge': one call for all, "
     "with\n"
     "                     Event.count; 'count': one call for each, all with the first one's details; 'queue': one "
     "call\n"
     "                     for each, with its own details, in the order of arrival\n"
     "  capacity           for 'queue': how many of each signal are kept; Subscription.dropped counts what finds no "
     "room\n"
     "  chain              the handler that was set before is called too; else the subscription stands in its place\n"
     "  once               the first call is the last\n"
     "  second_is_default  after the first arrival the signal takes its default action\n"
     "  respect_ignore     a signal that is ignored (nohup) stays ignored\n"
     "  pending            what has arrived and has not run at the end: 'redeliver' to what was there before, 'drop', "
     "'run'\n\n"
     "On the main thread of the main interpreter only, else ValueError. An Inbox serves other threads and event "
     "loops."},
    {nullptr, nullptr, 0, nullptr},
};

// Made once in the main interpreter: a module that is loaded again has the same types.
int add_type(PyObject* module, const char* name, PyType_Spec& specification, PyTypeObject*& kept)
{
    object type = object::borrowed(in_main_interpreter() ? reinterpret_cast<PyObject*>(kept) : nullptr);
    if (!type)
        type = object(PyType_FromSpec(&specification));
    if (!type || PyObject_SetAttrString(module, name, type.get()) < 0)
        return -1;
    if (kept == nullptr && in_main_interpreter())
        kept = reinterpret_cast<PyTypeObject*>(type.release());
    return 0;
}

} // namespace

int add_subscriptions(PyObject* module)
{
    if (add_type(module, "Subscription", subscription_specification, subscription_type) < 0 ||
        add_type(module, "Inbox", inbox_specification, inbox_type) < 0 ||
        add_type(module, "defer", defer_specification, defer_type) < 0)
        return -1;
    return PyModule_AddFunctions(module, functions);
}

} // namespace tocsin::python
