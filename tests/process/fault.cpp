// Real faults are not looped on: the process dies of the signal although a handler is installed. The same signals sent
// by a process reach the handler.

#include <tocsin/tocsin.hpp>

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <string>
#include <thread>

#include "dispositions.hpp"

namespace {

using tocsin::signum;

// In assembly, so that neither the optimiser nor a sanitizer has a say.
#if defined(__x86_64__)
void store_to(void* address) { asm volatile("movl $1, (%0)" : : "r"(address) : "memory"); }
void illegal_instruction() { asm volatile("ud2"); }
void breakpoint() { asm volatile("int3"); }
void divide_by_zero() { asm volatile("xorl %%edx, %%edx; movl $1, %%eax; divl %0" : : "r"(0) : "eax", "edx", "cc"); }
void general_protection() { asm volatile("movl $1, (%0)" : : "r"(0x8000'0000'0000'0000UL) : "memory"); }
#elif defined(__aarch64__)
void store_to(void* address) { asm volatile("str wzr, [%0]" : : "r"(address) : "memory"); }
void illegal_instruction() { asm volatile(".inst 0x00000000"); }
void breakpoint() { asm volatile("brk #0"); }
#endif

void null_dereference() { store_to(nullptr); }

void past_the_end_of_a_mapped_file()
{
    const int fd = ::memfd_create("tocsin", 0);
    if (fd == -1 || ::ftruncate(fd, 4096) == -1)
        ::_exit(90);
    void* const page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED || ::ftruncate(fd, 0) == -1)
        ::_exit(91);
    store_to(page);
}

void write_to_read_only_memory()
{
    void* const page = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    store_to(page);
}

// Dies within the limit whatever happens: a loop shows as death by SIGALRM.
void prepare_to_die()
{
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    ::signal(SIGALRM, SIG_DFL);
    ::alarm(20);
}

// The library sends the fault's information on, to die of the same signal. The emulator takes it for a fault of its own
// code, and an assertion of its own ends it.
#define SKIP_WHERE_A_SENT_FAULT_IS_A_FAULT()                                                                           \
    SKIP_IF_EMULATED("a memory fault's information that is sent is taken for a fault")

void expect_death(int sig, void (*fault)())
{
    const auto body = [&](bool on_a_thread, bool at_work) {
        return support::in_child([&] {
            prepare_to_die();
            int ran = 0;
            tocsin::signal(sig, [&] { ++ran; });
            if (at_work) // the fault happens after an arrival was recorded
                ::raise(sig);
            if (on_a_thread)
                std::thread(fault).join();
            else
                fault();
            return 80 + ran;
        });
    };
    for (const bool on_a_thread : {false, true}) {
        for (const bool at_work : {false, true}) {
            const int status = body(on_a_thread, at_work);
            EXPECT_TRUE(support::died_of(status, sig))
                << signum(sig) << ", on a thread: " << on_a_thread << ", after an arrival: " << at_work
                << ": wait status " << status;
        }
    }
}

TEST(fault, a_null_dereference_kills)
{
    SKIP_WHERE_A_SENT_FAULT_IS_A_FAULT();
    expect_death(SIGSEGV, null_dereference);
}

TEST(fault, writing_to_read_only_memory_kills)
{
    SKIP_WHERE_A_SENT_FAULT_IS_A_FAULT();
    expect_death(SIGSEGV, write_to_read_only_memory);
}

TEST(fault, touching_a_mapping_past_the_end_of_its_file_kills)
{
    SKIP_WHERE_A_SENT_FAULT_IS_A_FAULT();
    expect_death(SIGBUS, past_the_end_of_a_mapped_file);
}

TEST(fault, an_illegal_instruction_kills) { expect_death(SIGILL, illegal_instruction); }

TEST(fault, a_breakpoint_without_a_debugger_kills) { expect_death(SIGTRAP, breakpoint); }

#if defined(__x86_64__)
TEST(fault, an_integer_division_by_zero_kills) { expect_death(SIGFPE, divide_by_zero); }

TEST(fault, a_fault_without_an_address_kills) { expect_death(SIGSEGV, general_protection); }
#endif

TEST(fault, a_fault_inside_a_handler_kills)
{
    SKIP_WHERE_A_SENT_FAULT_IS_A_FAULT();
    const int status = support::in_child([] {
        prepare_to_die();
        tocsin::signal(SIGSEGV, [] { null_dereference(); });
        tocsin::raise_signal(SIGSEGV);
        return 80;
    });
    EXPECT_TRUE(support::died_of(status, SIGSEGV)) << status;
}

TEST(fault, a_fault_while_the_signal_is_blocked_kills)
{
    const int status = support::in_child([] {
        prepare_to_die();
        tocsin::signal(SIGSEGV, [] {});
        tocsin::pthread_sigmask(tocsin::sigmask::block, {SIGSEGV});
        null_dereference();
        return 80;
    });
    EXPECT_TRUE(support::died_of(status, SIGSEGV)) << status;
}

TEST(fault, the_same_signals_sent_by_a_process_reach_the_handler)
{
    for (const int sig : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT}) {
        int ran = 0;
        auto last = tocsin::origin::unknown;
        tocsin::signal(sig, [&](const tocsin::event& e) {
            ++ran;
            last = e.info.origin();
        });
        tocsin::raise_signal(sig);
        EXPECT_EQ(ran, 1) << signum(sig);
        EXPECT_EQ(last, tocsin::origin::tkill) << signum(sig);
        ::kill(::getpid(), sig);
        EXPECT_TRUE(support::eventually([&] {
            tocsin::check_signals();
            return ran == 2;
        })) << signum(sig);
        EXPECT_EQ(last, tocsin::origin::user) << signum(sig);
        sigval value{};
        tocsin::sigqueue(::getpid(), sig, value);
        EXPECT_TRUE(support::eventually([&] {
            tocsin::check_signals();
            return ran == 3;
        })) << signum(sig);
        EXPECT_EQ(last, tocsin::origin::queue) << signum(sig);
        const pid_t child = ::fork();
        if (child == 0) {
            ::kill(::getppid(), sig);
            ::_exit(0);
        }
        support::wait_for(child);
        EXPECT_TRUE(support::eventually([&] {
            tocsin::check_signals();
            return ran == 4;
        })) << signum(sig);
        tocsin::signal(sig, SIG_DFL);
    }
}

} // namespace
