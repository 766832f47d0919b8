// A number is no sigmask; the functions accept the macros.
// expect: cannot convert|invalid conversion|cannot initialize a variable
#include <tocsin/tocsin.hpp>

int main()
{
    [[maybe_unused]] tocsin::sigmask how = tocsin::sigmask::block;
    [[maybe_unused]] tocsin::sigmask bad = SIG_BLOCK; // BAD
}
