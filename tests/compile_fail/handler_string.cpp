// A handler does not take a string.
// expect: could not convert .*tocsin::handler|no viable conversion .*tocsin::handler
#include <tocsin/tocsin.hpp>

#include <string>

int main()
{
    tocsin::signal(SIGINT, [](const tocsin::event&) {});
    tocsin::signal(SIGINT, [](std::string) {}); // BAD
}
