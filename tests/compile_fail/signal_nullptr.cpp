// nullptr is no handler: SIG_DFL has a name.
// expect: deleted
#include <tocsin/tocsin.hpp>

int main()
{
    tocsin::signal(SIGINT, SIG_DFL);
    tocsin::signal(SIGINT, nullptr); // BAD
}
