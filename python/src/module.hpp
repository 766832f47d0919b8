#pragma once

// The module `tocsin._tocsin` is put together from the parts below, one file each. A part adds its functions, types and
// constants; below 0: the Python exception is set.

#include "python.hpp"

namespace tocsin::python {

/// What the interpreter's own module `_signal` calls `name`, as it was when this one was first imported: it may have been
/// replaced there since. Throws error_is_set.
object standard(const char* name);

/// Adds the functions. Those that `_signal` has too say that they are its own, as their messages and signatures are.
int add_functions(PyObject* module, PyMethodDef* functions);

int add_handlers(PyObject* module);      // handlers.cpp: signal, getsignal, set_wakeup_fd ...
int add_waits(PyObject* module);         // waits.cpp: pause, sigwait, pthread_sigmask, raise_signal ...
int add_itimers(PyObject* module);       // itimers.cpp: alarm, setitimer, getitimer
int add_events(PyObject* module);        // event.cpp: Event
int add_subscriptions(PyObject* module); // subscriptions.cpp: on, Inbox, defer ...
int add_timerfd(PyObject* module);       // timerfd.cpp: timerfd_create ...
int add_timer_queue(PyObject* module);   // timer_queue.cpp: TimerQueue, Timer
int add_intervals(PyObject* module);     // interval.cpp: Interval, Tick

} // namespace tocsin::python
