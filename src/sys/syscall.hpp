#pragma once

// The instruction that enters the kernel, written out where it is used: after a system call the processor's stack of
// return addresses is often lost, so that every call level between the caller and the kernel costs a mispredicted
// return, up to 10 % of a cheap system call each.

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

#if defined(TOCSIN_PORTABLE_CALLS) || !((defined(__x86_64__) && !defined(__ILP32__)) || defined(__aarch64__))
#define TOCSIN_REPEATED_CALLS 1
#else
#define TOCSIN_REPEATED_CALLS 0
#endif

namespace tocsin::sys {

/// Never anything but zero: what a thread that runs no handlers gives guarded_syscall().
extern constinit const std::atomic<std::uint64_t> open_gate;

/// Returns the kernel's result, a negated errno included; leaves errno alone.
[[gnu::always_inline]] inline long raw_syscall(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0,
                                               long f = 0) noexcept
{
#if defined(__x86_64__) && !defined(__ILP32__)
    long result = number;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5), "r"(x8) : "memory");
    return x0;
#else
    const int saved = errno;
    long result = ::syscall(number, a, b, c, d, e, f);
    if (result == -1)
        result = -errno;
    errno = saved;
    return result;
#endif
}

#if !TOCSIN_REPEATED_CALLS
/// The same, but -ERESTART, which the kernel shows nobody, without entering it when `pending` is not zero: the look and the
/// entry are one range of instructions, noted in the section tocsin_calls (retained, R: linkers that drop unused sections
/// see no use) as {begin, end, abort}. Whoever interrupts a thread in such a range and has set `pending` moves it to the abort label (redirect()): it has not entered the kernel yet, or the kernel has wound
/// it back to enter again (SA_RESTART), so nothing is undone. At the end label the result is in its register: -EINTR, or
/// that of a call that is done and must not be lost. Always inlined, also for the sake of the section: its entries speak
/// of code that must exist once.
[[gnu::always_inline]] inline long guarded_syscall(const std::atomic<std::uint64_t>& pending, long number, long a,
                                                   long b, long c, long d, long e, long f) noexcept
{
#if defined(__x86_64__) && !defined(__ILP32__)
    long result = number;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("1:\tcmpq $0, %[pending]\n"
                     "\tjne 3f\n"
                     "\tsyscall\n"
                     "2:\n"
                     "\t.pushsection .text.tocsin_abort, \"ax\", @progbits\n"
                     "3:\tmovq %[interrupted], %%rax\n"
                     "\tjmp 2b\n"
                     "\t.popsection\n"
                     "\t.pushsection tocsin_calls, \"aR\", @progbits\n"
                     "\t.balign 4\n"
                     "\t.long 1b - ., 2b - ., 3b - .\n"
                     "\t.popsection\n"
                     : "+a"(result)
                     : [pending] "m"(pending), [interrupted] "i"(-ERESTART), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8),
                       "r"(r9)
                     : "rcx", "r11", "memory", "cc");
    return result;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    long look;
    // ldur, from an address in a register (Q): linkers work around an erratum of the Cortex-A53 (843419) by moving an ldr
    // that follows an adrp out of line, and with it out of the range. The abort label is in a subsection, not in a section
    // of its own: always within reach of cbnz.
    __asm__ volatile("1:\tldur %[look], %[pending]\n"
                     "\tcbnz %[look], 3f\n"
                     "\tsvc 0\n"
                     "2:\n"
                     "\t.subsection 1\n"
                     "3:\tmov x0, %[interrupted]\n"
                     "\tb 2b\n"
                     "\t.previous\n"
                     "\t.pushsection tocsin_calls, \"aR\", %%progbits\n"
                     "\t.balign 4\n"
                     "\t.long 1b - ., 2b - ., 3b - .\n"
                     "\t.popsection\n"
                     : "+r"(x0), [look] "=&r"(look)
                     : [pending] "Q"(pending), [interrupted] "i"(-ERESTART), "r"(x1), "r"(x2), "r"(x3), "r"(x4),
                       "r"(x5), "r"(x8)
                     : "memory", "cc");
    return x0;
#endif
}
#endif

} // namespace tocsin::sys

#if TOCSIN_REPEATED_CALLS
#include "sys/repeated_call.hpp"
#endif
