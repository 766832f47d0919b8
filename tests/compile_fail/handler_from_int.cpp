// A number is no handler.
// expect: could not convert .*tocsin::handler|no viable conversion .*tocsin::handler
#include <tocsin/tocsin.hpp>

int main()
{
    tocsin::signal(SIGINT, tocsin::ignore);
    tocsin::signal(SIGINT, 5); // BAD
}
