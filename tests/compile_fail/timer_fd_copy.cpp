// One owner for a descriptor.
// expect: deleted
#include <tocsin/tocsin.hpp>

int main()
{
    tocsin::timer_fd one;
    tocsin::timer_fd moved = static_cast<tocsin::timer_fd&&>(one);
    tocsin::timer_fd copy = one; // BAD
}
