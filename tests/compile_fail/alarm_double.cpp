// alarm() counts whole seconds: a fraction needs a std::chrono::duration.
// expect: deleted
#include <tocsin/tocsin.hpp>

int main()
{
    tocsin::alarm(std::chrono::duration<double>(1.5));
    tocsin::alarm(1.5); // BAD
}
