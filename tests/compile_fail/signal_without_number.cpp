// A handler is not a signal number.
// expect: could not convert .*tocsin::(signum|handler)|no viable conversion .*tocsin::(signum|handler)|no matching
// function|cannot convert
#include <tocsin/tocsin.hpp>

int main()
{
    tocsin::signal(SIGINT, tocsin::ignore);
    tocsin::signal(tocsin::ignore, SIGINT); // BAD
}
