// A system call takes no object.
// expect: a system call takes integers and pointers
#include <tocsin/tocsin.hpp>

int main()
{
    tocsin::timer_fd timer;
    tocsin::blocking::call(1, timer.native_handle());
    tocsin::blocking::call(1, tocsin::signal_set{SIGINT}); // BAD
}
