// Why an exception thrown from a signal handler is risky, and how defer_signals takes the risk away.
//
// Ctrl-C throws keyboard_interrupt out of whatever the program does at the next safe point. If that is between two
// steps that belong together, only the first is done. Here it comes in a constructor that has taken a lock: an object
// that was never complete is never destroyed, so nobody gives the lock back. The same constructor under
// tocsin::defer_signals is not disturbed: the handler waits until the guard ends, and throws there.
//
//     ./07_lock_and_interrupt              interrupts itself at the worst moment
//     ./07_lock_and_interrupt --by-hand    waits there for your Ctrl-C
//
// Mirrors the lock in the "Note on Signal Handlers and Exceptions" of Python's `signal` module, where `__exit__` is not
// called if the interrupt comes in `__enter__`.
// Exit status: 0 seen as described, 1 not (no interrupt came) or an error, 2 wrong arguments.

#include <unistd.h>

#include <csignal>
#include <exception>
#include <functional>
#include <iostream>
#include <mutex>
#include <string_view>
#include <thread>

#include <tocsin/tocsin.hpp>

namespace {

// Holds the lock and some state that must go with it.
class session {
public:
    session(std::mutex& lock, const std::function<void()>& prepare)
        : lock_(lock)
    {
        lock_.lock();
        prepare(); // meets a safe point: what a handler throws here leaves the lock locked
        std::cout << "  the session is complete" << std::endl;
    }
    ~session() { lock_.unlock(); }
    session(const session&) = delete;
    session& operator=(const session&) = delete;

private:
    std::mutex& lock_;
};

// Asked in another thread, as anyone who needs the lock would: the owner may not try to lock it again.
bool is_free(std::mutex& lock)
{
    bool free = false;
    std::jthread([&] {
        if (const std::unique_lock attempt(lock, std::try_to_lock); attempt.owns_lock())
            free = true;
    }).join();
    return free;
}

bool report(bool interrupted, std::mutex& lock)
{
    const bool free = is_free(lock);
    std::cout << (interrupted ? "  the interrupt was seen" : "  no interrupt came") << '\n'
              << (free ? "  the lock is free" : "  the lock is still held, and nobody will ever release it")
              << std::endl;
    return free;
}

bool careless(const std::function<void()>& prepare)
{
    std::cout << "Careless: the handler may throw at any safe point" << std::endl;
    std::mutex lock;
    bool interrupted = false;
    try {
        const session inside(lock, prepare);
    } catch (const tocsin::keyboard_interrupt&) {
        interrupted = true;
    }
    const bool free = report(interrupted, lock);
    if (!free)
        lock.unlock(); // only so that this program can go on
    return interrupted && !free;
}

bool careful(const std::function<void()>& prepare)
{
    std::cout << "Careful: the same under tocsin::defer_signals" << std::endl;
    std::mutex lock;
    bool interrupted = false;
    try {
        tocsin::defer_signals guard;
        {
            const session inside(lock, prepare);
        }
        guard.release(); // now: the handler runs, and throws, here
    } catch (const tocsin::keyboard_interrupt&) {
        interrupted = true;
    }
    return report(interrupted, lock) && interrupted;
}

// As if the user had pressed Ctrl-C at this very moment.
void interrupt_myself() { tocsin::raise_signal(SIGINT); }

void wait_for_line(const char* prompt)
{
    std::cout << "  " << prompt << std::endl;
    char c = 0;
    while (tocsin::blocking::read(STDIN_FILENO, &c, 1) == 1 && c != '\n') {
    }
}

void wait_for_ctrl_c() { wait_for_line("press Ctrl-C"); }

void wait_for_ctrl_c_and_enter() { wait_for_line("press Ctrl-C, and then Enter: nothing is to be seen until then"); }

int run(bool by_hand)
{
    // Explicitly, because a runtime leaves an inherited "ignore" (as in a background job) as it is.
    tocsin::signal(SIGINT, tocsin::default_int_handler);
    const bool risk_shown = careless(by_hand ? wait_for_ctrl_c : interrupt_myself);
    const bool safety_shown = careful(by_hand ? wait_for_ctrl_c_and_enter : interrupt_myself);
    return risk_shown && safety_shown ? 0 : 1;
}

} // namespace

int main(int argc, char** argv)
{
    const bool by_hand = argc == 2 && std::string_view(argv[1]) == "--by-hand";
    if (argc > 1 && !by_hand) {
        std::cerr << "usage: 07_lock_and_interrupt [--by-hand]\n"
                     "Interrupts itself, or waits for Ctrl-C, while it takes a lock: carelessly, then carefully.\n";
        return 2;
    }
    try {
        return tocsin::run_main([&] { return run(by_hand); });
    } catch (const std::exception& error) {
        std::cerr << "07_lock_and_interrupt: " << error.what() << '\n';
        return 1;
    }
}
