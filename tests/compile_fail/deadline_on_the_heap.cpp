// A deadline belongs to its scope.
// expect: deleted
#include <tocsin/tocsin.hpp>

int main()
{
    const tocsin::deadline limit(1);
    delete new tocsin::deadline(1); // BAD
}
