// A program whose output goes to `head -1` ends cleanly.
//
// By default writing to a pipe that nobody reads any more kills the program by SIGPIPE, wherever it happens to write:
// to its output, but just as well to a socket. tocsin::run_main ignores SIGPIPE, so that the write fails with
// "broken pipe" instead, and each place decides. Here the reader has seen enough: stop, say nothing, exit with 1.
//
//     ./02_broken_pipe | head -1
//
// Mirrors the "Note on SIGPIPE" of Python's `signal` module. The note also points standard output at /dev/null, lest
// the interpreter flush its buffer into the broken pipe at exit; here nothing is buffered.
// Exit status: 0 all written, 1 broken pipe or another error, 2 wrong arguments; death by SIGINT after Ctrl-C.

#include <unistd.h>

#include <exception>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include <tocsin/tocsin.hpp>

#include "descriptor.hpp"

namespace {

void write_all(int fd, std::string_view text)
{
    while (!text.empty())
        text.remove_prefix(static_cast<std::size_t>(tocsin::blocking::write(fd, text.data(), text.size())));
}

int run(unsigned lines)
{
    try {
        for (unsigned i = 1; i <= lines; ++i)
            write_all(STDOUT_FILENO, "line " + std::to_string(i) + '\n');
        return 0;
    } catch (const std::system_error& error) {
        if (error.code() == std::errc::broken_pipe)
            return 1; // the reader has gone: not worth a message
        throw;
    }
}

} // namespace

int main(int argc, char** argv)
{
    // The default is far more than a pipe holds, so that a reader who leaves early is always noticed.
    const std::optional<unsigned> lines = argc == 2 ? example::parse_number(argv[1], 0U, ~0U) : 100000U;
    if (argc > 2 || !lines) {
        std::cerr << "usage: 02_broken_pipe [LINES]\n"
                     "Writes LINES lines (default 100000) to standard output.\n";
        return 2;
    }
    try {
        return tocsin::run_main([&] { return run(*lines); });
    } catch (const std::exception& error) {
        std::cerr << "02_broken_pipe: " << error.what() << '\n';
        return 1;
    }
}
