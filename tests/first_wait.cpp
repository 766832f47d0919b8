// Linked into tests and examples under ThreadSanitizer, whose runtime (GCC 12's; SigCtx() in tsan_interceptors_posix.cpp) can lose a
// signal: a thread that enters a blocking call for the first time maps the memory in which it keeps signals for later. One
// that arrives meanwhile maps it too, is kept there, and is forgotten when the first mapping takes its place. The main
// thread, which the kernel asks first to take a signal, is through with that before main().

#include <unistd.h>

namespace {

[[gnu::constructor]] void first_wait() { ::usleep(0); }

} // namespace
