// An alarm limits the time that opening a device may take.
//
// Opening a serial line waits for the other side to turn on, perhaps for ever. SIGALRM ends the wait: its handler
// throws, and the exception comes out of the very call that waits. A FIFO that nobody writes to stands in well for a
// device that never turns on:
//
//     mkfifo /tmp/device && ./01_serial_alarm /tmp/device 2
//
// Mirrors the example on the page of Python's `signal` module (alarm, os.open, alarm(0)).
// Exit status: 0 opened, 1 not opened, 2 wrong arguments; death by SIGINT after Ctrl-C.

#include <fcntl.h>

#include <csignal>
#include <exception>
#include <iostream>
#include <optional>
#include <stdexcept>

#include <tocsin/tocsin.hpp>

#include "descriptor.hpp"

namespace {

// Runs at a safe point, in ordinary code: unlike a raw signal handler it may print, allocate and throw.
[[noreturn]] void give_up(const tocsin::event& e)
{
    std::cout << "Signal handler called with " << e.signo << std::endl;
    throw std::runtime_error("couldn't open the device");
}

// Disarms the alarm on every way out, also when the device does not exist or the user presses Ctrl-C.
struct alarm_after {
    explicit alarm_after(unsigned seconds) { tocsin::alarm(seconds); }
    ~alarm_after() { tocsin::alarm(0); }
    alarm_after(const alarm_after&) = delete;
    alarm_after& operator=(const alarm_after&) = delete;
};

example::descriptor open_within(const char* path, unsigned seconds)
{
    const alarm_after limit(seconds);
    return example::descriptor(tocsin::blocking::open(path, O_RDONLY | O_NOCTTY | O_CLOEXEC));
}

void run(const char* path, unsigned seconds)
{
    tocsin::signal(SIGALRM, give_up);
    std::cout << "Opening " << path << ", for at most " << seconds << " s" << std::endl;

    const example::descriptor device = open_within(path, seconds);

    // An alarm that went off between the end of open() and alarm(0) is due: have it here and not somewhere later.
    tocsin::check_signals();
    std::cout << "Opened " << path << "; the alarm is off" << std::endl;
}

} // namespace

int main(int argc, char** argv)
{
    const std::optional<unsigned> seconds = argc == 3 ? example::parse_number(argv[2], 1U, 86400U) : 5U;
    if (argc < 2 || argc > 3 || !seconds) {
        std::cerr << "usage: 01_serial_alarm PATH [SECONDS]\n"
                     "Opens PATH for reading; gives up after SECONDS (1 to 86400, default 5).\n";
        return 2;
    }
    try {
        return tocsin::run_main([&] { run(argv[1], *seconds); });
    } catch (const std::exception& error) {
        std::cerr << "01_serial_alarm: " << error.what() << '\n';
        return 1;
    }
}
