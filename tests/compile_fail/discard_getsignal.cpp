// Asking without listening.
// expect: nodiscard|unused-result
#include <tocsin/tocsin.hpp>

int main()
{
    const tocsin::handler now = tocsin::getsignal(SIGINT);
    tocsin::getsignal(SIGINT); // BAD
}
