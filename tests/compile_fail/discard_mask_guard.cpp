// A guard without a name ends at once.
// expect: nodiscard|unused-result|ignoring temporary|unused-value
#include <tocsin/tocsin.hpp>

int main()
{
    const tocsin::mask_guard guard({SIGINT});
    tocsin::mask_guard(tocsin::sigmask::block, {SIGINT}); // BAD
}
