// The clock is named; a descriptor is taken over by adopt().
// expect: conversion from .*explicit|conversion from .int. to non-scalar|no viable conversion
#include <tocsin/tocsin.hpp>

int main()
{
    tocsin::timer_fd one(CLOCK_MONOTONIC);
    tocsin::timer_fd two = 3; // BAD
}
