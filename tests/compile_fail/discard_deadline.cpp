// A deadline without a name ends at once.
// expect: nodiscard|unused-result|ignoring temporary|unused-value
#include <tocsin/tocsin.hpp>

int main()
{
    const tocsin::deadline limit(1);
    tocsin::deadline{1}; // BAD
}
