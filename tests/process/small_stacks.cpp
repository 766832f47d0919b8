// The trip routine where there is little stack (G10).

#include <tocsin/tocsin.hpp>

#include <alloca.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <thread>

#include "dispositions.hpp"

namespace {

constexpr std::size_t page = 4096;

// Memory with a page before it that must not be touched.
class guarded_memory {
public:
    explicit guarded_memory(std::size_t size)
        : size_((size + page - 1) / page * page)
        , base_(static_cast<unsigned char*>(
              ::mmap(nullptr, size_ + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)))
    {
        ::mprotect(base_, page, PROT_NONE);
        std::memset(begin(), pattern, size_);
    }
    ~guarded_memory() { ::munmap(base_, size_ + page); }
    guarded_memory(const guarded_memory&) = delete;
    guarded_memory& operator=(const guarded_memory&) = delete;

    [[nodiscard]] unsigned char* begin() const { return base_ + page; }
    [[nodiscard]] unsigned char* end() const { return begin() + size_; }
    [[nodiscard]] std::size_t size() const { return size_; }

    /// Bytes from the end down to the last one written.
    [[nodiscard]] std::size_t used() const
    {
        return static_cast<std::size_t>(end() -
                                        std::find_if(begin(), end(), [](unsigned char b) { return b != pattern; }));
    }

private:
    static constexpr unsigned char pattern = 0xA5;
    std::size_t size_;
    unsigned char* base_;
};

void use_as_alternate_stack(unsigned char* begin, std::size_t size)
{
    stack_t mine{};
    mine.ss_sp = begin;
    mine.ss_size = size;
    ASSERT_EQ(::sigaltstack(&mine, nullptr), 0);
}

void use_none()
{
    stack_t none{};
    none.ss_flags = SS_DISABLE;
    ::sigaltstack(&none, nullptr);
}

std::size_t smallest() { return std::max<std::size_t>(::getauxval(AT_MINSIGSTKSZ), 2048); }

void raise_here() { ::syscall(SYS_tgkill, ::getpid(), ::syscall(SYS_gettid), SIGUSR1); }

void foreign(int /*sig*/) {}

// How much of an alternate stack one signal takes.
std::size_t stack_for_one_signal()
{
    const guarded_memory stack(smallest() + 2 * page);
    use_as_alternate_stack(stack.begin(), stack.size());
    raise_here();
    use_none();
    return stack.used();
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
constexpr bool instrumented = false;
#else
constexpr bool instrumented = true; // their own frames around a handler need more
#endif

TEST(G10, the_trip_takes_a_kibibyte_of_stack_besides_the_kernel_s_frame)
{
    if (instrumented || support::thread_sanitizer)
        GTEST_SKIP() << "a sanitizer's frames come on top";
    struct sigaction theirs = {};
    theirs.sa_handler = foreign;
    theirs.sa_flags = SA_ONSTACK;
    ::sigaction(SIGUSR1, &theirs, nullptr);
    const std::size_t frame = stack_for_one_signal();
    int calls = 0;
    tocsin::signal(SIGUSR1, [&] { ++calls; });
    const support::pipe_pair pipe;
    tocsin::set_wakeup_fd(pipe.writer());
    const std::size_t with_trip = stack_for_one_signal();
    tocsin::set_wakeup_fd(-1);
    tocsin::check_signals();
    EXPECT_EQ(calls, 1);
    EXPECT_GT(frame, 0U);
#if defined(__OPTIMIZE__)
    EXPECT_LE(with_trip, frame + 1024); // the library's bound: tests/handler_calls/check.py
#else
    EXPECT_LE(with_trip, frame + 2048);
#endif
    std::printf("the kernel's frame %zu bytes, with the trip %zu, smallest stack allowed %zu\n", frame, with_trip,
                smallest());
}

// The trip adds less than a kibibyte to the frame: the smallest stack the platform allows, and that.
TEST(G10, a_signal_is_recorded_on_the_smallest_alternate_stack)
{
    if (instrumented || support::thread_sanitizer)
        GTEST_SKIP() << "a sanitizer's frames come on top";
    SKIP_IF_EMULATED("its signal frame is larger than the size it gives as the smallest");
    std::uint64_t arrivals = 0;
    tocsin::signal(SIGUSR1, [&](const tocsin::event& e) { arrivals += e.count; });
    const auto on_a_small_stack = [] {
        const guarded_memory memory(smallest() + 1024);
        use_as_alternate_stack(memory.begin(), smallest() + 1024); // the guard lies just below
        for (int n = 0; n < 100; ++n)
            raise_here();
        use_none();
    };
    on_a_small_stack();
    std::thread(on_a_small_stack).join();
    tocsin::check_signals();
    EXPECT_EQ(arrivals, 200U);
}

// A context of its own whose stack is used up but for a few hundred bytes when the signal comes.
ucontext_t outside;
const guarded_memory* exhausted = nullptr;

void use_up_the_stack_and_raise()
{
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    const auto bottom = reinterpret_cast<std::uintptr_t>(exhausted->begin());
    volatile char* const rest = static_cast<char*>(alloca(here - bottom - 1024));
    rest[0] = 1;
    raise_here();
    rest[0] = 2; // so that the call is not made in place of this function
}

int raise_on_an_exhausted_stack()
{
    const guarded_memory stack(4 * page);
    exhausted = &stack;
    ucontext_t inside{};
    ::getcontext(&inside);
    inside.uc_stack.ss_sp = stack.begin();
    inside.uc_stack.ss_size = stack.size();
    inside.uc_link = &outside;
    ::makecontext(&inside, use_up_the_stack_and_raise, 0);
    return ::swapcontext(&outside, &inside);
}

TEST(G10, a_thread_with_no_stack_left_records_on_its_alternate_stack)
{
    if (instrumented || support::thread_sanitizer)
        GTEST_SKIP() << "a sanitizer's frames come on top";
    const auto run = [](bool alternate) {
        return support::in_child([=] {
            std::uint64_t arrivals = 0;
            tocsin::signal(SIGUSR1, [&](const tocsin::event& e) { arrivals += e.count; });
            std::thread([=] {
                const guarded_memory memory(smallest() + page);
                if (alternate)
                    use_as_alternate_stack(memory.begin(), memory.size());
                ::syscall(SYS_tgkill, ::getpid(), ::syscall(SYS_gettid), 0); // to bind it takes stack
                raise_on_an_exhausted_stack();
                use_none();
            }).join();
            tocsin::check_signals();
            return arrivals == 1 ? 0 : 1;
        });
    };
    EXPECT_TRUE(support::exited_with(run(true), 0));
    EXPECT_TRUE(support::died_of(run(false), SIGSEGV)) << "the stack was not used up: this test shows nothing";
}

} // namespace
