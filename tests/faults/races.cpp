// Moments between two threads that no schedule hits for certain, held open: functions of the C library that the library
// calls there are replaced by ones that wait until the other thread is where it is wanted.

#include <tocsin/tocsin.hpp>

#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include <atomic>
#include <cstdarg>
#include <fstream>
#include <functional>
#include <optional>
#include <thread>

#include "state.hpp"

namespace {

using namespace std::chrono_literals;
using support::pipe_pair;

// What happens instead of the next write(2) of the library, once: its result, or a negated errno; 0: the real one.
std::atomic<long (*)()> instead_of_write{nullptr};

// Naps of the main thread while it waits for another one.
std::atomic<int> naps{0};

// Happens once, in the middle of claim_process().
std::function<void()> at_madvise;
std::function<void()> at_registration;

void once(std::function<void()>& hook)
{
    if (hook)
        std::exchange(hook, nullptr)();
}

template <class Function>
Function* real(Function*& kept, const char* name)
{
    if (kept == nullptr) // not a static with a guard, which is a system call itself
        kept = reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
    return kept;
}

long (*real_syscall)(long, ...) = nullptr;
int (*real_nanosleep)(const timespec*, timespec*) = nullptr;
int (*real_madvise)(void*, std::size_t, int) = nullptr;
int (*real_register_atfork)(void (*)(), void (*)(), void (*)(), void*) = nullptr;

} // namespace

extern "C" long syscall(long number, ...) noexcept
{
    long a[6];
    std::va_list rest;
    va_start(rest, number);
    for (long& each : a)
        each = va_arg(rest, long);
    va_end(rest);
    if (number == SYS_write) {
        if (auto* const hook = instead_of_write.exchange(nullptr); hook != nullptr) {
            if (const long result = hook(); result != 0) {
                errno = static_cast<int>(-result);
                return -1;
            }
        }
    }
    return real(real_syscall, "syscall")(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

extern "C" int nanosleep(const timespec* time, timespec* left)
{
    if (++naps == 1) { // the first is interrupted
        errno = EINTR;
        return -1;
    }
    return real(real_nanosleep, "nanosleep")(time, left);
}

extern "C" int madvise(void* address, std::size_t size, int advice) noexcept
{
    const int result = real(real_madvise, "madvise")(address, size, advice);
    if (advice == MADV_WIPEONFORK)
        once(at_madvise);
    return result;
}

// What pthread_atfork() is in the C library: the function itself is linked into each object.
extern "C" int __register_atfork(void (*prepare)(), void (*parent)(), void (*child)(), void* object)
{
    const int result = real(real_register_atfork, "__register_atfork")(prepare, parent, child, object);
    once(at_registration);
    return result;
}

namespace {

std::atomic<int> runs{0};
std::atomic<int> foreign_runs{0};
std::atomic<bool> arrived{false};
std::atomic<bool> released{false};

void foreign(int /*sig*/) { ++foreign_runs; }

// In another thread, inside the trip routine: until the main thread naps, waiting for us, or has gone on without.
void hold()
{
    arrived = true;
    support::eventually([] { return naps >= 3 || released; });
}

bool is_asleep(int tid)
{
    std::ifstream in("/proc/self/task/" + std::to_string(tid) + "/stat");
    std::string line;
    std::getline(in, line);
    const std::size_t name_end = line.rfind(") ");
    return name_end != std::string::npos && line[name_end + 2] == 'S';
}

} // namespace

// A wake-up byte that cannot be written, found out when the main thread has handled the signal and sleeps again.

TEST(wakeup, a_byte_that_fails_late_is_reported_to_a_waiting_main_thread_and_stalls_nothing)
{
    struct stop {};
    static int main_tid = 0;
    main_tid = static_cast<int>(::syscall(SYS_gettid));
    tocsin::signal(SIGUSR1, [] {
        if (++runs == 2)
            throw stop();
    });
    const pipe_pair wake;
    tocsin::set_wakeup_fd(wake.writer());
    const pipe_pair nothing(0);
    const pipe_pair said;
    const int real_stderr = ::dup(2);
    ::dup2(said.writer(), 2);
    instead_of_write = [] {
        support::eventually([] { return runs == 1 && is_asleep(main_tid); });
        return -long{ENOSPC};
    };
    bool reported = false;
    std::thread other([&] {
        ::raise(SIGUSR1);
        std::string text;
        reported = support::eventually([&] { return (text += said.content()).find("(errno 28)") != text.npos; }, 5s);
        ::raise(SIGUSR1);
        if (!support::eventually([] { return runs == 2; }, 5s)) {
            EXPECT_EQ(::write(nothing.writer(), "x", 1), 1); // ends the wait, and fails below
        }
    });
    char byte = 0;
    EXPECT_THROW(tocsin::blocking::read(nothing.reader(), &byte, 1), stop);
    other.join();
    ::dup2(real_stderr, 2);
    ::close(real_stderr);
    EXPECT_TRUE(reported);
    EXPECT_EQ(runs, 2);
    tocsin::set_wakeup_fd(-1);
}

// set_wakeup_fd() returns when nobody writes to the old descriptor any more.

// A file of no bytes at the number `fd`.
void put_a_file_at(int fd)
{
    const int file = ::memfd_create("other", MFD_CLOEXEC);
    ASSERT_GE(file, 0);
    if (file != fd) {
        ASSERT_EQ(::dup3(file, fd, O_CLOEXEC), fd);
        ::close(file);
    }
}

TEST(wakeup, no_byte_lands_in_a_file_that_got_the_number_of_the_old_descriptor)
{
    tocsin::signal(SIGUSR1, [] { ++runs; });
    pipe_pair pipe;
    const int number = pipe.writer();
    tocsin::set_wakeup_fd(number);
    instead_of_write = [] {
        hold();
        return 0L;
    };
    std::thread other([] { ::raise(SIGUSR1); });
    EXPECT_TRUE(support::eventually([] { return arrived.load(); }));
    naps = 0;
    EXPECT_EQ(tocsin::set_wakeup_fd(-1), number);
    pipe.close_writer();
    put_a_file_at(number);
    released = true;
    other.join();
    EXPECT_EQ(::lseek(number, 0, SEEK_END), 0);
    EXPECT_EQ(pipe.content(), std::string(1, SIGUSR1));
    EXPECT_GE(naps, 3);
    ::close(number);
    tocsin::check_signals();
    EXPECT_EQ(runs, 1);
}

TEST(wakeup, no_byte_lands_in_such_a_file_under_a_flood)
{
    tocsin::signal(SIGUSR1, [] { ++runs; });
    std::vector<std::thread> flood;
    flood.reserve(2);
    for (int n = 0; n < 2; ++n) {
        flood.emplace_back([] {
            while (!released)
                ::raise(SIGUSR1);
        });
    }
    long strays = 0;
    for (int n = 0; n < 300; ++n) {
        pipe_pair pipe;
        const int number = pipe.writer();
        tocsin::set_wakeup_fd(number, {.warn_on_full_buffer = false});
        while (pipe.content().empty())
            ::sched_yield();
        tocsin::set_wakeup_fd(-1);
        pipe.close_writer();
        put_a_file_at(number);
        ::sched_yield();
        strays += ::lseek(number, 0, SEEK_END);
        ::close(number);
        tocsin::check_signals();
    }
    released = true;
    for (std::thread& each : flood)
        each.join();
    EXPECT_EQ(strays, 0);
    EXPECT_GT(runs, 0);
}

// G8: the end of a runtime waits for a record that another thread is writing.

namespace {

std::atomic<void*> second_page{nullptr};
std::size_t page_size = 0;

// The thread that copies the siginfo meets a page that is not there yet.
void on_fault(int /*sig*/, siginfo_t* info, void* /*context*/)
{
    if (info->si_addr < second_page.load()) // another fault: a real one
        ::_exit(98);
    hold();
    ::mprotect(second_page, page_size, PROT_READ | PROT_WRITE);
}

} // namespace

TEST(G8, the_end_of_a_runtime_waits_for_a_record_that_another_thread_is_writing)
{
    for (const int sig : {SIGPIPE, SIGXFSZ, SIGINT})
        ::signal(sig, SIG_DFL);
    ::signal(SIGUSR1, foreign);
    std::optional<tocsin::runtime> active(std::in_place);
    tocsin::signal(SIGUSR1, [] { ++runs; });

    page_size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    void* const pages = ::mmap(nullptr, 2 * page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(pages, MAP_FAILED);
    second_page = static_cast<char*>(pages) + page_size;
    // Number and code can be read, the rest of the siginfo not.
    auto* const info = reinterpret_cast<siginfo_t*>(static_cast<char*>(pages) + page_size - 16);
    info->si_signo = SIGUSR1;
    info->si_code = SI_TKILL;
    struct sigaction action = {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO;
    ::sigaction(SIGSEGV, &action, nullptr);
    ::mprotect(second_page, page_size, PROT_NONE);

    auto* const trip = support::action_of(SIGUSR1).sa_sigaction;
    std::thread writer([&] {
        ucontext_t context{};
        trip(SIGUSR1, info, &context);
    });
    EXPECT_TRUE(support::eventually([] { return arrived.load(); }));
    naps = 0;
    active.reset();
    released = true;
    writer.join();
    EXPECT_GE(naps, 3);
    EXPECT_EQ(foreign_runs, 1); // the disposition that was put back
    tocsin::check_signals();
    EXPECT_EQ(runs, 0);
    EXPECT_EQ(foreign_runs, 1);
}

// G6: a child that another thread forks while the main thread is setting up the library for the first time.

namespace {

int forked_elsewhere()
{
    int status = -1;
    std::thread([&] {
        status = support::in_child([] {
            ::alarm(10); // should it wait for a lock that nobody will release
            tocsin::signal(SIGUSR1, [] { ++runs; });
            tocsin::raise_signal(SIGUSR1);
            const int grandchild = support::in_child([] {
                ::alarm(10);
                tocsin::raise_signal(SIGUSR1);
                return runs.load();
            });
            return runs == 1 && support::exited_with(grandchild, 2) ? 0 : 1;
        });
    }).join();
    return status;
}

void expect_a_working_child(std::function<void()>& moment)
{
    int status = -1;
    moment = [&] { status = forked_elsewhere(); };
    tocsin::signal(SIGUSR1, [] { ++runs; });
    EXPECT_TRUE(support::exited_with(status, 0)) << status;
    // And here everything is as if nothing had been.
    tocsin::raise_signal(SIGUSR1);
    EXPECT_EQ(runs, 1);
    const int later = support::in_child([] {
        tocsin::raise_signal(SIGUSR1);
        return runs.load();
    });
    EXPECT_TRUE(support::exited_with(later, 2)) << later;
}

} // namespace

TEST(G6, a_child_forked_before_the_page_is_known_works) { expect_a_working_child(at_madvise); }

TEST(G6, a_child_forked_before_the_process_is_claimed_works) { expect_a_working_child(at_registration); }
