// A conversation within time limits, one inside the other: each line within a second, all of it within a few.
//
// A deadline is a scope. What waits inside of it, here a blocking read, is ended with an exception when the time is over,
// wherever in the call that happens; the one around it goes on. The error tells whose time it was. Unlike an alarm
// (01_serial_alarm.cpp) there may be many, also on other threads, and no signal handler is needed.
//
//     (echo one; sleep 2; echo two) | ./09_deadline 1 5
//
// Exit status: 0 the input has ended, 1 the time is over or an error, 2 wrong arguments; death by SIGINT after Ctrl-C.

#include <chrono>
#include <exception>
#include <iostream>
#include <optional>
#include <string>

#include <tocsin/tocsin.hpp>

#include "descriptor.hpp"

namespace {

// A line of the standard input; empty at its end.
std::string read_line()
{
    std::string line;
    for (char c = 0; tocsin::blocking::read(0, &c, 1) == 1;) {
        line += c;
        if (c == '\n')
            break;
    }
    return line;
}

void converse(std::chrono::seconds for_each, std::chrono::seconds for_all)
{
    const tocsin::deadline whole(for_all);
    for (;;) {
        try {
            const std::string line = tocsin::within(for_each, read_line);
            if (line.empty())
                return;
            std::cout << "Heard: " << line << std::flush;
        } catch (const tocsin::deadline_exceeded& e) {
            if (whole.is(e))
                throw;
            std::cout << "Are you still there?" << std::endl;
        }
    }
}

} // namespace

int main(int argc, char** argv)
{
    const auto seconds = [&](int at) { return argc == 3 ? example::parse_number(argv[at], 1U, 86400U) : std::nullopt; };
    const auto for_each = seconds(1);
    const auto for_all = seconds(2);
    if (!for_each || !for_all) {
        std::cerr << "usage: 09_deadline EACH ALL\n"
                     "Reads lines, each within EACH seconds, all within ALL seconds (1 to 86400).\n";
        return 2;
    }
    try {
        return tocsin::run_main([&] { converse(std::chrono::seconds(*for_each), std::chrono::seconds(*for_all)); });
    } catch (const std::exception& error) {
        std::cerr << "09_deadline: " << error.what() << '\n';
        return 1;
    }
}
