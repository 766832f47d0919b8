// A deadline belongs to its scope.
// expect: deleted
#include <tocsin/tocsin.hpp>

int main()
{
    const tocsin::deadline limit(1);
    const tocsin::deadline copy = limit; // BAD
}
