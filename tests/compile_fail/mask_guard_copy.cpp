// A guard belongs to its scope.
// expect: deleted
#include <tocsin/tocsin.hpp>

int main()
{
    tocsin::mask_guard guard({SIGINT});
    tocsin::mask_guard copy = guard; // BAD
}
