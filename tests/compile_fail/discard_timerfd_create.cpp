// A descriptor that nobody keeps is a leak.
// expect: nodiscard|unused-result
#include <tocsin/tocsin.hpp>

int main()
{
    [[maybe_unused]] const int fd = tocsin::timerfd_create(CLOCK_MONOTONIC);
    tocsin::timerfd_create(CLOCK_MONOTONIC); // BAD
}
