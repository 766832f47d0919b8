// A descriptor that nobody keeps is of no use.
// expect: nodiscard|unused-result
#include <tocsin/tocsin.hpp>

int main()
{
    const tocsin::pidfd self = tocsin::pidfd_open(1);
    tocsin::pidfd_open(1); // BAD
}
