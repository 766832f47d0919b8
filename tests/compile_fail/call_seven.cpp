// A system call has six arguments.
// expect: constraints? not satisfied|no matching function
#include <tocsin/tocsin.hpp>

int main()
{
    tocsin::blocking::call(1, 1, 2, 3, 4, 5, 6);
    tocsin::blocking::call(1, 1, 2, 3, 4, 5, 6, 7); // BAD
}
