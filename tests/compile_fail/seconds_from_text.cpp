// A time is a number or a duration.
// expect: could not convert|no viable conversion|cannot convert|no matching function
#include <tocsin/tocsin.hpp>

int main()
{
    tocsin::setitimer(tocsin::itimer::real, 0);
    tocsin::setitimer(tocsin::itimer::real, "1"); // BAD
}
