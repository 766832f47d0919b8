// A handler takes the number or the event, nothing more.
// expect: could not convert .*tocsin::handler|no viable conversion .*tocsin::handler
#include <tocsin/tocsin.hpp>

int main()
{
    tocsin::signal(SIGINT, [](int) {});
    tocsin::signal(SIGINT, [](int, int) {}); // BAD
}
