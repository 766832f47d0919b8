#include "log.hpp"

#include <array>
#include <cstdio>

namespace demo {
namespace {
const clock::time_point start = clock::now();
}

std::string in_ms(clock::duration time)
{
    std::array<char, 40> text{};
    std::snprintf(text.data(), text.size(), "%.3f ms", std::chrono::duration<double, std::milli>(time).count());
    return text.data();
}

// A failed write (the reader has gone) is no reason to stop serving.
void say_line(const std::string& text)
{
    const double seconds = std::chrono::duration<double>(clock::now() - start).count();
    std::printf("%9.4f  %s\n", seconds, text.c_str());
    std::fflush(stdout);
}

} // namespace demo
