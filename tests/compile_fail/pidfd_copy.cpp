// One owner for a descriptor.
// expect: deleted
#include <tocsin/tocsin.hpp>

int main()
{
    tocsin::pidfd one;
    tocsin::pidfd moved = static_cast<tocsin::pidfd&&>(one);
    tocsin::pidfd copy = one; // BAD
}
