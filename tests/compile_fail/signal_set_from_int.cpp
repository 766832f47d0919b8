// A number is no set: its braces say what is meant.
// expect: could not convert|no viable conversion|conversion from|no matching function|could not bind|invalid initialization
#include <tocsin/tocsin.hpp>

int main()
{
    (void)tocsin::sigtimedwait({SIGUSR1}, 0);
    (void)tocsin::sigtimedwait(SIGUSR1, 0); // BAD
}
