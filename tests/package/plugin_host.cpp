// Loads a plugin that uses the library, after a thread has been started: signals that this thread takes are recorded and
// interrupt the main thread's calls, so the trip routine needs nothing that is made when a thread starts or a program is
// loaded.

#include <dlfcn.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <thread>

namespace {

std::atomic<int> asked{0};
std::atomic<int> done{0};

void raise_when_asked()
{
    for (int n = 1; n <= 2; ++n) {
        while (asked.load() < n) {
        }
        ::raise(n == 1 ? SIGUSR1 : SIGUSR2); // on this thread
        done = n;
    }
}

template <class F>
F* find(void* plugin, const char* name)
{
    return reinterpret_cast<F*>(::dlsym(plugin, name));
}

int fail(const char* what)
{
    std::fprintf(stderr, "%s\n", what);
    return 1;
}

} // namespace

int main(int /*argc*/, char** argv)
{
    ::alarm(20);
    std::thread older(raise_when_asked);
    older.detach();
    void* const plugin = ::dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (plugin == nullptr)
        return fail(::dlerror());
    auto* const start = find<int()>(plugin, "plugin_start");
    auto* const calls = find<int()>(plugin, "plugin_calls");
    auto* const read = find<int(int)>(plugin, "plugin_read");
    if (start() != 0)
        return fail("start");
    asked = 1;
    while (done < 1) {
    }
    if (calls() != 1)
        return fail("a signal that an older thread took was not handled once");
    ::raise(SIGUSR1);
    if (calls() != 2)
        return fail("a signal of the main thread was not handled once");
    int fds[2];
    if (::pipe(fds) != 0)
        return fail("pipe");
    asked = 2;
    return read(fds[0]) == 0 ? 0 : fail("read");
}
