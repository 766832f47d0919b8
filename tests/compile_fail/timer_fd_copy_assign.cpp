// One owner for a descriptor.
// expect: deleted
#include <tocsin/tocsin.hpp>

int main()
{
    tocsin::timer_fd one;
    tocsin::timer_fd two;
    two = one; // BAD
}
