// A guard belongs to its scope.
// expect: deleted
#include <tocsin/tocsin.hpp>

int main()
{
    tocsin::defer_signals guard;
    tocsin::defer_signals copy = guard; // BAD
}
