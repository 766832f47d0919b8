// A plugin that uses the library; the program that loads it knows nothing of either. See plugin_host.cpp.

#include <tocsin/tocsin.hpp>

#include <cerrno>

namespace {

int calls = 0;

struct arrived {};

} // namespace

extern "C" int plugin_start()
{
    tocsin::signal(SIGUSR1, [](const tocsin::event& e) { calls += static_cast<int>(e.count); });
    tocsin::signal(SIGUSR2, [] { throw arrived(); });
    return 0;
}

extern "C" int plugin_calls()
{
    tocsin::check_signals();
    return calls;
}

/// Reads until SIGUSR2 comes; 0 if that ended it.
extern "C" int plugin_read(int fd)
{
    char byte = 0;
    try {
        tocsin::blocking::read(fd, &byte, 1);
    } catch (const arrived&) {
        return 0;
    }
    return 1;
}
