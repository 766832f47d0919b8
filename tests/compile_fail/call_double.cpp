// A system call takes no floating-point number.
// expect: a system call takes integers and pointers
#include <tocsin/tocsin.hpp>

int main()
{
    tocsin::blocking::call(1, 1, nullptr, "text");
    tocsin::blocking::call(1, 1.5); // BAD
}
