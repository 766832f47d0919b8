#pragma once

#include <csignal>
#include <cstdint>
#include <stdexcept>
#include <string>

extern "C" {
int foreign_install(int sig);
int foreign_runs();
void send_many(int sig, int count);
void send_both(int one, int other);
}

/// One peer, asked through lines on standard input (see serve() and docs/peers.md). The program obeys commands and so
/// keeps its event loop waiting: only turn() lets it run.
class peer {
public:
    virtual ~peer() = default;

    /// Subscribes, so that called() runs for each callback; unsubscribes.
    virtual void on(int sig) = 0;
    virtual void off(int sig) = 0;
    /// One turn of the event loop: waits up to `ms` for something to happen, and runs the callbacks. Calls mark()
    /// last before it gives control to the library. False: the library refuses.
    virtual bool turn(int ms) = 0;

    /// What the documentation asks for around fork().
    virtual void before_fork() {}
    virtual void in_parent() {}
    virtual void in_child() {}
    /// May the loop be used in the child then?
    virtual bool usable_in_child() const { return true; }

    /// Questions that few can be asked: "no" is the answer of the others.
    /// Sleeps, in one blocking call of the library.
    virtual std::string sleep(int) { return "no"; }
    /// sigtimedwait() for SIGUSR2: "none", or the number it returns.
    virtual std::string timed_wait(int) { return "no"; }
    /// Arms a timer with that many seconds: "fired", "silent", or "refused".
    virtual std::string timer(double) { return "no"; }
};

/// Who sent it; `known` if the callback is told.
struct sender {
    bool known = false;
    int pid = 0, uid = 0, code = 0, value = 0;
};

/// Each callback calls this. Throws when the driver has asked for it.
void called(int sig, const sender& who = {});

/// A cheap system call that a debugger can wait for.
void mark();

bool was_called(int sig);

int serve(peer& asked);
