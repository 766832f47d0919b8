// Something to do twice a second, four times: a timer descriptor, read in the simplest way.
//
// read() waits for the timer and says how often it has expired since it was last read, so that a program that was late
// knows what it missed. The timer is on the kernel's schedule: the time the work takes does not add up. Ctrl-C ends the
// wait; the descriptor is closed by its owner on every way out.
//
// Mirrors the first program of Python's timer file descriptor HOWTO. A program with more to wait for uses a
// non-blocking timer in its loop: see 05_epoll_server.cpp.
// Exit status: 0 done, 1 error, 2 wrong arguments; death by SIGINT after Ctrl-C.

#include <ctime>
#include <exception>
#include <iostream>

#include <tocsin/tocsin.hpp>

namespace {

void run()
{
    tocsin::timer_fd timer(CLOCK_MONOTONIC); // unlike CLOCK_REALTIME, unmoved when somebody sets the clock
    timer.settime(1, 0.5);                   // first in a second, then every half second

    for (int tick = 1; tick <= 4; ++tick) {
        const auto expirations = timer.read();
        std::cout << "Timer expired (" << expirations << ")" << std::endl;
    }
}

} // namespace

int main(int argc, char**)
{
    if (argc > 1) {
        std::cerr << "usage: 04_timer_descriptor\n"
                     "Prints a line twice a second, four times.\n";
        return 2;
    }
    try {
        return tocsin::run_main(run);
    } catch (const std::exception& error) {
        std::cerr << "04_timer_descriptor: " << error.what() << '\n';
        return 1;
    }
}
