// A guard without a name ends at once.
// expect: nodiscard|unused-result|ignoring temporary|unused-value
#include <tocsin/tocsin.hpp>

int main()
{
    const tocsin::defer_signals guard;
    tocsin::defer_signals{}; // BAD
}
