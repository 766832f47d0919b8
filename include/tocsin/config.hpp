#pragma once

/// Marks what a shared library exports; everything else is hidden.
#define TOCSIN_API __attribute__((visibility("default")))

#if !defined(__linux__)
#error "tocsin supports Linux only so far: src/sys/ holds everything a port has to provide"
#endif

#define TOCSIN_VERSION_MAJOR 0
#define TOCSIN_VERSION_MINOR 1
#define TOCSIN_VERSION_PATCH 0
