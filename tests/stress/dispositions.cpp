// G8: a disposition changes while signals arrive. Each signal is handled, or it meets the new disposition: never both,
// never neither. In the manner of Go's TestAtomicStop: one process and one signal a round where the new disposition
// ends the process, sums of counts where it is another handler.

#include <tocsin/tocsin.hpp>

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <map>
#include <new>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "stress.hpp"
#include "support.hpp"

namespace {

struct thrown {};

void spin(int turns)
{
    for (; turns > 0; --turns)
        asm volatile("");
}

// Nobody is listening, but the kernel hands out what has come for this thread.
void enter_kernel() { ::sched_yield(); }

void fill_queue()
{
    constexpr rlimit none{0, 0};
    ASSERT_EQ(::setrlimit(RLIMIT_SIGPENDING, &none), 0);
}

enum class change {
    to_default,        // signal(sig, default_action)
    to_previous,       // signal(sig, what the first signal() returned)
    by_way_of_another, // signal(sig, another callable), then to_default
    in_blocking_call,  // by the handler of another signal, which a blocking call runs
    end_of_runtime,
    exception_leaves_runtime,
};

enum class sender {
    parent,            // another process; the main thread takes the signal
    parent_to_thread,  // the same, but the main thread blocks it: another thread takes it
    thread_to_process, // whoever the kernel likes takes it
    thread_to_main,
    thread_to_itself,
    timer, // a POSIX timer
};

// When the signal comes, as seen from the change.
enum class moment { before, around, after };

struct plan {
    change what;
    sender by;
    moment when;
    int sig;
    bool deferred;   // the change is made under defer_signals
    bool full_queue; // no room for siginfo: RLIMIT_SIGPENDING is 0
    bool throws;     // the handler does
    int child_waits; // turns
    int sender_waits;

    [[nodiscard]] bool taken_by_thread() const
    {
        return by == sender::parent_to_thread || by == sender::thread_to_itself;
    }
    [[nodiscard]] bool sent_by_parent() const { return by == sender::parent || by == sender::parent_to_thread; }
    [[nodiscard]] bool ends_runtime() const
    {
        return what == change::end_of_runtime || what == change::exception_leaves_runtime;
    }

    friend std::ostream& operator<<(std::ostream& out, const plan& p)
    {
        return out << "change " << static_cast<int>(p.what) << ", sender " << static_cast<int>(p.by) << ", moment "
                   << static_cast<int>(p.when) << ", signal " << p.sig << (p.deferred ? ", deferred" : "")
                   << (p.full_queue ? ", full queue" : "") << (p.throws ? ", throws" : "");
    }
};

// What parent and child both see.
struct ledger {
    std::atomic<bool> ready{false};   // the signal may be sent
    std::atomic<bool> sent{false};    // the call that sends it has returned
    std::atomic<bool> settled{false}; // and the thread that is to take it has been in the kernel since
    std::atomic<bool> was_before{false};
    std::atomic<unsigned> handled{0};
};

ledger* shared_ledger()
{
    void* const page = ::mmap(nullptr, sizeof(ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return new (page) ledger;
}

// The signal carries a value where it can be queued.
void send(const plan& p, pid_t to)
{
    if (p.sig >= SIGRTMIN && !p.full_queue)
        ::sigqueue(to, p.sig, {.sival_int = 1});
    else
        ::kill(to, p.sig);
}

class child {
public:
    child(const plan& p, ledger& l)
        : plan_(p)
        , book_(l)
    {}

    int run()
    {
        ::signal(plan_.sig, SIG_DFL);
        sigset_t mine;
        ::sigemptyset(&mine);
        ::sigaddset(&mine, plan_.sig);
        ::pthread_sigmask(SIG_UNBLOCK, &mine, nullptr);
        if (plan_.by == sender::timer)
            make_timer();
        if (plan_.full_queue) {
            tocsin::signal(SIGPROF, [] {}); // the timer of the portable form takes a place in the queue, once
            tocsin::signal(SIGPROF, tocsin::default_action);
            fill_queue();
        }
        std::optional<tocsin::defer_signals> guard;
        if (plan_.deferred)
            guard.emplace();
        try {
            if (plan_.ends_runtime())
                end_runtime();
            else
                replace();
        } catch (const thrown&) {
        } catch (const tocsin::keyboard_interrupt& e) {
            book_.handled += static_cast<unsigned>(e.cause().count);
        }
        if (plan_.when == moment::after)
            begin_sending();
        await_signal();
        try {
            if (guard)
                guard->release();
            // A thread may still have been recording the signal when the runtime ended, and nothing else waits for it.
            if (!plan_.ends_runtime() || thread_.joinable())
                tocsin::check_signals();
        } catch (const thrown&) {
        }
        over_ = true;
        if (thread_.joinable())
            thread_.join();
        return 0;
    }

private:
    tocsin::handler counting()
    {
        return [this](const tocsin::event& e) {
            book_.handled += static_cast<unsigned>(e.count);
            if (plan_.throws)
                throw thrown();
        };
    }

    void make_timer()
    {
        sigevent how{};
        how.sigev_notify = SIGEV_SIGNAL;
        how.sigev_signo = plan_.sig;
        if (::timer_create(CLOCK_MONOTONIC, &how, &timer_) == -1)
            ::_exit(90);
    }

    void begin_sending()
    {
        if (!plan_.sent_by_parent() && plan_.by != sender::timer)
            thread_ = std::thread([this, main = ::pthread_self()] { send_from_thread(main); });
        else if (plan_.by == sender::parent_to_thread)
            thread_ = std::thread([this] { take_on_thread(); });
        if (thread_.joinable() && plan_.when == moment::around) { // it takes its time to start
            while (!thread_runs_)
                ::sched_yield();
        }
        if (plan_.by == sender::parent_to_thread) {
            sigset_t mine;
            ::sigemptyset(&mine);
            ::sigaddset(&mine, plan_.sig);
            ::pthread_sigmask(SIG_BLOCK, &mine, nullptr);
        }
        book_.ready = true;
        if (plan_.by == sender::timer) {
            const itimerspec at{{}, {0, plan_.sender_waits + 1}};
            ::timer_settime(timer_, 0, &at, nullptr);
        }
    }

    void send_from_thread(pthread_t main)
    {
        thread_runs_ = true;
        while (!book_.ready) {
        }
        spin(plan_.sender_waits);
        switch (plan_.by) {
        case sender::thread_to_main:
            ::pthread_kill(main, plan_.sig);
            break;
        case sender::thread_to_itself:
            ::pthread_kill(::pthread_self(), plan_.sig);
            break;
        default:
            send(plan_, ::getpid());
        }
        book_.sent = true;
        enter_kernel();
        book_.settled = true;
    }

    void take_on_thread()
    {
        thread_runs_ = true;
        while (!book_.sent)
            ::sched_yield();
        enter_kernel();
        book_.settled = true;
        while (!over_) // the main thread blocks the signal: it meets the new disposition here
            ::sched_yield();
    }

    bool arrived() const
    {
        if (plan_.by != sender::timer)
            return book_.settled || (plan_.by == sender::parent && book_.sent);
        itimerspec left{};
        ::timer_gettime(timer_, &left);
        return left.it_value.tv_sec == 0 && left.it_value.tv_nsec == 0;
    }

    void await_signal()
    {
        while (!arrived())
            ::sched_yield();
        enter_kernel();
    }

    void until_the_change()
    {
        if (plan_.when == moment::before) {
            begin_sending();
            await_signal();
        } else if (plan_.when == moment::around) {
            begin_sending();
            spin(plan_.child_waits);
        }
        book_.was_before = book_.sent || (plan_.by == sender::timer && arrived());
    }

    void set_default(const tocsin::handler& previous)
    {
        // What pending handlers throw leaves from signal(), and nothing has changed then.
        for (bool done = false; !done;) {
            try {
                if (plan_.what == change::to_previous)
                    tocsin::signal(plan_.sig, previous);
                else
                    tocsin::signal(plan_.sig, tocsin::default_action);
                done = true;
            } catch (const thrown&) {
            }
        }
    }

    void replace()
    {
        const tocsin::handler previous = tocsin::signal(plan_.sig, counting());
        if (plan_.what == change::in_blocking_call) {
            replace_in_blocking_call(previous);
            return;
        }
        until_the_change();
        if (plan_.what == change::by_way_of_another) {
            try {
                tocsin::signal(plan_.sig, counting());
            } catch (const thrown&) {
            }
        }
        set_default(previous);
    }

    void replace_in_blocking_call(const tocsin::handler& previous)
    {
        int fds[2];
        if (::pipe(fds) == -1)
            ::_exit(91);
        tocsin::signal(SIGALRM, [&] {
            set_default(previous);
            if (::write(fds[1], "x", 1) != 1)
                ::_exit(92);
        });
        tocsin::setitimer(tocsin::itimer::real, std::chrono::microseconds(plan_.child_waits / 1000 + 1));
        begin_sending();
        char byte = 0;
        for (bool done = false; !done;) {
            try {
                done = tocsin::blocking::read(fds[0], &byte, 1) == 1;
            } catch (const thrown&) {
            }
        }
    }

    void end_runtime()
    {
        const tocsin::runtime active;
        if (plan_.sig != SIGINT) // a runtime has its own there
            tocsin::signal(plan_.sig, counting());
        until_the_change();
        if (plan_.when == moment::around && (plan_.child_waits & 1) != 0)
            tocsin::check_signals();
        if (plan_.what == change::exception_leaves_runtime)
            throw thrown();
    }

    const plan& plan_;
    ledger& book_;
    std::thread thread_;
    std::atomic<bool> thread_runs_{false};
    std::atomic<bool> over_{false};
    timer_t timer_{};
};

class rounds {
public:
    void run(change what, int count)
    {
        for (int n = 0; n < count && !::testing::Test::HasFailure(); ++n)
            one(draw(what));
        std::printf("%u handled, %u met the new disposition\n", handled_, met_);
        EXPECT_GT(met_, 0U);
    }

private:
    plan draw(change what)
    {
        const auto lot = [&](unsigned n) { return static_cast<int>(chance_() % n); };
        plan p{};
        p.what = what;
        p.by = static_cast<sender>(lot(6));
        p.when = std::array{moment::around, moment::around, moment::around, moment::around,
                            moment::around, moment::before, moment::after}[static_cast<std::size_t>(lot(7))];
        p.sig = std::array{
            SIGINT, SIGTERM, SIGUSR1, SIGHUP, SIGRTMIN, support::last_signal()}[static_cast<std::size_t>(lot(6))];
        p.deferred = lot(3) == 0;
        p.full_queue = lot(4) == 0;
        p.throws = lot(4) == 0;
        if (what == change::in_blocking_call) {
            p.when = moment::around;
            p.deferred = false;
        }
        // The kernel refuses a queued signal when there is no room, but for one that kill() sends, and tells the sender.
        if (p.full_queue && (p.by == sender::thread_to_main || p.by == sender::thread_to_itself))
            p.sig = SIGTERM;
        const int aim = aims_[p.by];
        p.child_waits = lot(4000) + std::max(0, aim);
        p.sender_waits = lot(4000) + std::max(0, -aim);
        return p;
    }

    void one(const plan& p)
    {
        new (book_) ledger;
        const pid_t pid = ::fork();
        if (pid == 0) {
            int status = 93;
            try {
                status = child(p, *book_).run();
            } catch (const std::exception& e) {
                ::dprintf(2, "%s\n", e.what());
            }
            ::_exit(status);
        }
        if (p.sent_by_parent()) {
            ASSERT_TRUE(support::eventually([&] { return book_->ready.load(); })) << p;
            spin(p.sender_waits);
            send(p, pid);
            book_->sent = true;
        }
        int status = 0;
        ASSERT_TRUE(support::eventually([&] { return ::waitpid(pid, &status, WNOHANG) == pid; })) << p;
        judge(p, status);
        if (p.when == moment::around) { // so that the signal comes before the change as often as after
            const bool before = p.deferred || p.ends_runtime() ? book_->was_before.load() : book_->handled > 0;
            aims_[p.by] += before ? -500 : 500;
        }
    }

    void judge(const plan& p, int status)
    {
        const unsigned handled = book_->handled;
        const bool died = support::died_of(status, p.sig);
        ASSERT_TRUE(died || support::exited_with(status, 0)) << p << ": wait status " << status;
        EXPECT_EQ(handled + (died ? 1U : 0U), 1U) << p << ": handled " << handled << ", died " << died;
        // A runtime's end runs no handler, and under a guard an arrival meets what is there when the guard ends.
        if (p.when == moment::before) {
            EXPECT_EQ(died, p.deferred || p.ends_runtime()) << p;
        }
        if (p.when == moment::after) {
            EXPECT_TRUE(died) << p;
        }
        handled_ += handled;
        met_ += died ? 1U : 0U;
    }

    std::mt19937_64 chance_ = stress::make_chance();
    ledger* book_ = shared_ledger();
    std::map<sender, int> aims_;
    unsigned handled_ = 0;
    unsigned met_ = 0;
};

void one_signal_each(change what)
{
    if (support::thread_sanitizer)
        GTEST_SKIP() << "ThreadSanitizer keeps a signal for later, and drops it if its handler is gone by then";
    SKIP_WITHOUT_ATOMIC_DISPOSITIONS();
    rounds().run(what, stress::size(500, 20'000));
}

TEST(G8, one_signal_around_a_change_to_the_default_action) { one_signal_each(change::to_default); }
TEST(G8, one_signal_around_a_change_to_what_was_there) { one_signal_each(change::to_previous); }
TEST(G8, one_signal_around_two_changes) { one_signal_each(change::by_way_of_another); }
TEST(G8, one_signal_around_a_change_that_a_blocking_call_s_handler_makes) { one_signal_each(change::in_blocking_call); }
TEST(G8, one_signal_around_the_end_of_a_runtime) { one_signal_each(change::end_of_runtime); }
TEST(G8, one_signal_around_an_exception_that_leaves_a_runtime) { one_signal_each(change::exception_leaves_runtime); }

std::atomic<std::uint64_t> by_foreign{0};
void foreign(int) { ++by_foreign; }

// Repeats what the full queue refuses: then the sender knows that nothing was sent.
void queue(pid_t to, int sig)
{
    while (::sigqueue(to, sig, {}) == -1 && errno == EAGAIN)
        ::sched_yield();
}

void queue_to_itself(int sig)
{
    while (::pthread_kill(::pthread_self(), sig) == EAGAIN)
        ::sched_yield();
}

class flipping {
public:
    explicit flipping(int sig)
        : sig_(sig)
    {
        ::signal(sig, foreign);
        foreign_ = tocsin::getsignal(sig);
    }

    [[nodiscard]] std::uint64_t accounted_for() const { return by_first_ + by_second_ + by_foreign; }

    void once()
    {
        const auto lot = chance_();
        std::optional<tocsin::defer_signals> guard;
        if (lot % 8 == 0)
            guard.emplace();
        switch (lot / 8 % 4) {
        case 0:
            change(first_);
            break;
        case 1:
            change(second_);
            break;
        case 2:
            change(foreign_);
            break;
        default: {
            const tocsin::runtime active;
            change(lot / 32 % 2 == 0 ? first_ : foreign_);
            spin(static_cast<int>(lot / 64 % 500));
        }
        }
        spin(static_cast<int>(lot / 65536 % 500));
        if (guard && lot / 128 % 2 == 0)
            guard->release();
        else if (lot / 256 % 2 == 0)
            tocsin::check_signals();
    }

private:
    void change(const tocsin::handler& to) { tocsin::signal(sig_, to); }

    std::mt19937_64 chance_ = stress::make_chance();
    int sig_;
    std::uint64_t by_first_ = 0;
    std::uint64_t by_second_ = 0;
    tocsin::handler first_{[this](const tocsin::event& e) { by_first_ += e.count; }};
    tocsin::handler second_{[this](const tocsin::event& e) { by_second_ += e.count; }};
    tocsin::handler foreign_;
};

void expect_accounted_for(const flipping& flips, std::uint64_t sent)
{
    EXPECT_TRUE(support::eventually(
        [&] {
            tocsin::check_signals();
            return flips.accounted_for() >= sent;
        },
        std::chrono::seconds(5)))
        << sent - flips.accounted_for() << " of " << sent << " met nothing";
    EXPECT_EQ(flips.accounted_for(), sent);
}

TEST(G8, queued_signals_from_another_process_are_all_accounted_for)
{
    if (support::thread_sanitizer)
        GTEST_SKIP() << "ThreadSanitizer keeps one signal of a number for later and drops the others";
    const int total = stress::size(100'000, 1'000'000);
    flipping flips(SIGRTMIN + 1);
    const pid_t sender = ::fork();
    if (sender == 0) {
        for (int n = 0; n < total; ++n)
            queue(::getppid(), SIGRTMIN + 1);
        ::_exit(0);
    }
    while (tocsin::blocking::waitpid(sender, nullptr, WNOHANG) == 0)
        flips.once();
    expect_accounted_for(flips, static_cast<std::uint64_t>(total));
}

TEST(G8, queued_signals_that_another_thread_takes_are_all_accounted_for)
{
    if (support::thread_sanitizer)
        GTEST_SKIP() << "ThreadSanitizer keeps one signal of a number for later and drops the others";
    SKIP_WITHOUT_ATOMIC_DISPOSITIONS();
    const int total = stress::size(100'000, 1'000'000);
    flipping flips(SIGRTMIN + 1);
    std::atomic<bool> over{false};
    std::thread other([&] {
        for (int n = 0; n < total; ++n)
            queue_to_itself(SIGRTMIN + 1);
        over = true;
    });
    while (!over)
        flips.once();
    other.join();
    expect_accounted_for(flips, static_cast<std::uint64_t>(total));
}

// Standard signals merge, so one at a time; SIGCHLD, whose default action would hide a loss, among them.
void one_at_a_time(int sig, bool taken_by_thread)
{
    if (support::thread_sanitizer)
        GTEST_SKIP() << "ThreadSanitizer keeps a signal for later, and drops it if its handler is gone by then";
    SKIP_WITHOUT_ATOMIC_DISPOSITIONS();
    const int total = stress::size(20'000, 200'000);
    flipping flips(sig);
    std::atomic<std::uint64_t> wanted{0};
    std::atomic<bool> over{false};
    std::thread other([&, main = ::pthread_self()] {
        for (std::uint64_t n = 1; n <= static_cast<std::uint64_t>(total); ++n) {
            while (wanted < n && !over)
                ::sched_yield();
            ::pthread_kill(taken_by_thread ? ::pthread_self() : main, sig);
        }
    });
    for (std::uint64_t n = 1; n <= static_cast<std::uint64_t>(total) && !::testing::Test::HasFailure(); ++n) {
        wanted = n;
        EXPECT_TRUE(support::eventually(
            [&] {
                flips.once();
                return flips.accounted_for() >= n;
            },
            std::chrono::seconds(5)))
            << "signal " << n << " met nothing";
        EXPECT_EQ(flips.accounted_for(), n);
    }
    over = true;
    other.join();
}

TEST(G8, each_standard_signal_is_handled_once_by_the_old_or_the_new_handler) { one_at_a_time(SIGUSR1, false); }
TEST(G8, each_sigchld_is_handled_once_by_the_old_or_the_new_handler) { one_at_a_time(SIGCHLD, false); }
TEST(G8, each_standard_signal_that_another_thread_takes_is_handled_once) { one_at_a_time(SIGTERM, true); }

TEST(G8, a_signal_around_a_change_to_ignore_is_handled_before_it_or_never)
{
    if (support::thread_sanitizer)
        GTEST_SKIP() << "ThreadSanitizer keeps a signal for later";
    auto chance = stress::make_chance();
    const int total = stress::size(5'000, 500'000);
    const tocsin::runtime active;
    unsigned handled = 0;
    unsigned by_all = 0;
    std::atomic<int> round{0};
    std::atomic<int> sent{0};
    std::thread other([&, main = ::pthread_self(), lots = chance]() mutable {
        for (int n = 1; n <= total; ++n) {
            while (round < n)
                ::sched_yield();
            spin(static_cast<int>(lots() % 4000));
            ::pthread_kill(main, SIGUSR1);
            sent = n;
        }
    });
    const auto await_signal = [&](int n) {
        while (sent < n)
            ::sched_yield();
        enter_kernel();
    };
    for (int n = 1; n <= total; ++n) {
        handled = 0;
        tocsin::signal(SIGUSR1, [&] { ++handled; });
        const auto lot = chance();
        const bool before = lot % 8 == 0;
        const bool deferred = lot / 8 % 4 == 0;
        std::optional<tocsin::defer_signals> guard;
        if (deferred)
            guard.emplace();
        round = n;
        if (before)
            await_signal(n);
        else
            spin(static_cast<int>(lot / 32 % 8000));
        tocsin::signal(SIGUSR1, tocsin::ignore);
        const unsigned at_change = handled;
        if (before) {
            EXPECT_EQ(at_change, deferred ? 0U : 1U);
        }
        await_signal(n);
        if (guard)
            guard->release();
        tocsin::check_signals();
        EXPECT_EQ(handled, at_change);
        EXPECT_LE(handled, 1U);
        by_all += handled;
    }
    other.join();
    std::printf("%u handled, %u ignored\n", by_all, static_cast<unsigned>(total) - by_all);
}

// The kernel refuses a queued signal when there is no room, and tells the sender. One that it took, and that waits here
// for a safe point, must not be refused when it is passed on: only its siginfo is lost.
TEST(G8, a_queued_signal_meets_the_new_disposition_also_when_the_queue_is_full_by_then)
{
    for (const bool ends_runtime : {false, true}) {
        const int status = support::in_child([&] {
            ::signal(SIGRTMIN, SIG_DFL);
            std::optional<tocsin::runtime> active;
            if (ends_runtime)
                active.emplace();
            tocsin::signal(SIGRTMIN, [] {});
            tocsin::defer_signals guard;
            ::sigqueue(::getpid(), SIGRTMIN, {.sival_int = 1});
            fill_queue();
            if (ends_runtime)
                active.reset();
            else
                tocsin::signal(SIGRTMIN, tocsin::default_action);
            guard.release();
            return 0;
        });
        EXPECT_TRUE(support::died_of(status, SIGRTMIN)) << (ends_runtime ? "end of runtime: " : "signal(): ") << status;
    }
}

// The handler would have been called once with the count; another disposition knows no count.
TEST(G8, queued_signals_that_merged_meet_the_new_disposition_one_by_one)
{
    if (support::thread_sanitizer)
        GTEST_SKIP() << "ThreadSanitizer keeps one signal of a number for later and drops the others";
    constexpr int sent = 100;
    std::atomic<int> with_value{0};
    static std::atomic<int>* values;
    values = &with_value;
    struct sigaction theirs = {};
    theirs.sa_sigaction = [](int /*sig*/, siginfo_t* info, void* /*context*/) {
        ++by_foreign;
        if (info->si_code == SI_QUEUE && info->si_value.sival_int == 1)
            ++*values;
    };
    theirs.sa_flags = SA_SIGINFO;
    ASSERT_EQ(::sigaction(SIGRTMIN, &theirs, nullptr), 0);
    const auto previous = tocsin::signal(SIGRTMIN, [] { FAIL() << "its turn never comes"; });
    tocsin::defer_signals guard;
    for (int n = 1; n <= sent; ++n)
        ::sigqueue(::getpid(), SIGRTMIN, {.sival_int = n});
    tocsin::signal(SIGRTMIN, previous);
    guard.release();
    EXPECT_EQ(by_foreign, static_cast<unsigned>(sent));
    EXPECT_EQ(with_value, 1) << "the first one's siginfo, once";
}

} // namespace
