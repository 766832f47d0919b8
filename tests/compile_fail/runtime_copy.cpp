// There is one runtime.
// expect: deleted
#include <tocsin/tocsin.hpp>

int main()
{
    tocsin::runtime one;
    tocsin::runtime copy = one; // BAD
}
