// The event is the library's: a handler cannot change it.
// expect: could not convert .*tocsin::handler|no viable conversion .*tocsin::handler
#include <tocsin/tocsin.hpp>

int main()
{
    tocsin::signal(SIGINT, [](tocsin::event) {});
    tocsin::signal(SIGINT, [](tocsin::event&) {}); // BAD
}
