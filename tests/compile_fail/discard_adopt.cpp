// The descriptor would be closed at once.
// expect: nodiscard|unused-result
#include <tocsin/tocsin.hpp>

int main()
{
    const tocsin::timer_fd timer = tocsin::timer_fd::adopt(3);
    tocsin::timer_fd::adopt(3); // BAD
}
