// Inboxes and subscriptions under load: what each signal has become is counted, on both sides.

#include <tocsin/tocsin.hpp>

#include <malloc.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <iterator>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "stress.hpp"
#include "support.hpp"

namespace {

using std::chrono::milliseconds;
using tocsin::at_cancel;
using tocsin::delivery;
using tocsin::inbox;
using tocsin::subscription;
using tocsin::subscription_options;

#define SKIP_WHERE_SIGNALS_MERGE()                                                                                     \
    if (support::thread_sanitizer)                                                                                     \
    GTEST_SKIP() << "ThreadSanitizer keeps one signal of a number for later and drops the others"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool has_own_malloc = true;
#elif defined(__has_feature)
constexpr bool has_own_malloc = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
constexpr bool has_own_malloc = false;
#endif

// On a machine that is busy with something else.
constexpr auto patience = std::chrono::seconds(60);

void spin(int turns)
{
    for (; turns > 0; --turns)
        asm volatile("");
}

constexpr std::size_t at(int n) { return static_cast<std::size_t>(n); }

std::array<std::atomic<std::uint64_t>, tocsin::nsig> by_previous{};
void previous(int sig) { ++by_previous[at(sig)]; }

void be_previous(int sig)
{
    by_previous[at(sig)] = 0;
    ASSERT_NE(::signal(sig, previous), SIG_ERR);
}

std::uint64_t taken_by_previous(int sig) { return by_previous[at(sig)]; }

// Has arrived when this returns: repeated where the queue is full, so that nothing is sent that nobody counts.
void send_to_this_thread(int sig, int value)
{
    while (::pthread_sigqueue(::pthread_self(), sig, {.sival_int = value}) == EAGAIN)
        ::sched_yield();
}

void send_to_process(int sig, int value)
{
    while (::sigqueue(::getpid(), sig, {.sival_int = value}) == -1 && errno == EAGAIN)
        ::sched_yield();
}

std::size_t descriptors()
{
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

std::size_t memory()
{
    const auto all = ::mallinfo2();
    return all.uordblks + all.hblkhd;
}

subscription_options options_of(delivery how, std::size_t capacity = 1024)
{
    subscription_options options;
    options.delivery = how;
    options.capacity = capacity;
    return options;
}

// One of those that come and go. It ends in its own callback or where somebody has drawn it, never in both at once.
struct churned {
    std::atomic<bool> in_use{false};
    std::atomic<bool> over{false}; // cancel() has returned
    std::atomic<int> inside{0};
    subscription held;
};

// Eight owners, each with an inbox of its own that keeps two subscriptions and gets and loses many; senders; whoever wants
// ends what any of them has.
class storm {
public:
    explicit storm(std::mt19937_64& chance)
        : chance_(chance)
    {
        // ThreadSanitizer takes these for faults of the thread, and runs the handler even inside its own locks.
        const tocsin::signal_set faults{SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGABRT, SIGFPE, SIGPIPE, SIGSYS};
        for (int sig = 1; sig <= support::last_signal(); ++sig) {
            const bool catchable = sig != SIGKILL && sig != SIGSTOP && (sig < 32 || sig >= SIGRTMIN);
            const bool safe = !support::thread_sanitizer || !faults.contains(sig);
            if (catchable && safe && sig != SIGCONT && (sig < flood || sig > chained))
                others_.push_back(sig);
        }
        // A sanitizer may have handlers for faults. ThreadSanitizer delivers some signals after the end.
        const auto before = support::thread_sanitizer ? SIG_IGN : SIG_DFL;
        ::signal(flood, before);
        for (const int sig : others_)
            ::signal(sig, before);
        for (int sig = first_own; sig <= chained; ++sig)
            be_previous(sig);
    }

    void run(milliseconds time)
    {
        for (std::size_t k = 0; k < owners; ++k)
            threads_[k] = std::thread([this, k, seed = chance_()] { own(k, seed); });
        std::vector<std::thread> senders;
        ASSERT_TRUE(support::eventually([&] { return ready_ == owners; }, patience));
        for (int n = 0; n < 2; ++n)
            senders.emplace_back([this, seed = chance_()] { send_many(seed); });
        senders.emplace_back([this, seed = chance_()] { send_others(seed); });
        std::this_thread::sleep_for(time); // the storm's length: nothing waits for it
        enough_ = true;
        for (std::thread& each : senders)
            each.join();
        if (!support::thread_sanitizer) {
            for (std::size_t k = 0; k < owners; ++k) {
                EXPECT_TRUE(support::eventually([&] { return of_flood(k) >= sent_[at(flood)]; }, patience))
                    << "owner " << k;
                EXPECT_EQ(of_flood(k), sent_[at(flood)]) << "owner " << k;
            }
        }
        over_ = true;
        for (std::thread& each : threads_)
            each.join();
        for (auto& each : pool_)
            end(*each);
        pool_.clear();
        EXPECT_EQ(late_, 0U) << "callbacks after cancel() had returned";
        if (!support::thread_sanitizer)
            expect_accounted_for();
    }

    [[nodiscard]] std::uint64_t sent() const { return sent_[at(flood)]; }
    [[nodiscard]] std::uint64_t came_and_went() const { return ended_; }

private:
    static constexpr std::size_t owners = 8;
    static constexpr std::size_t most = 40;
    const int flood = SIGRTMIN;
    const int first_own = SIGRTMIN + 1; // one for each owner, where at most one subscription listens at a time
    const int chained = first_own + static_cast<int>(owners); // where all chain: the handler before gets each

    struct thrown {};
    using lots = std::mt19937_64;
    static std::size_t lot(lots& chance, std::size_t n) { return chance() % n; }

    [[nodiscard]] std::uint64_t of_flood(std::size_t k) const { return flood_seen_[k] + flood_dropped_[k]; }

    void expect_accounted_for()
    {
        for (std::size_t k = 0; k < owners; ++k) {
            const int sig = first_own + static_cast<int>(k);
            own_dropped_[k] += own_[k].dropped();
            own_[k] = subscription();
            const auto known = [&] { return own_seen_[k] + own_dropped_[k] + taken_by_previous(sig); };
            EXPECT_TRUE(support::eventually([&] { return known() >= sent_[at(sig)]; }, patience));
            EXPECT_EQ(known(), sent_[at(sig)])
                << "signal " << sig << ": " << own_seen_[k] << " called, " << own_dropped_[k] << " dropped, "
                << taken_by_previous(sig) << " by the handler before";
        }
        EXPECT_TRUE(support::eventually([&] { return taken_by_previous(chained) >= sent_[at(chained)]; }, patience));
        EXPECT_EQ(taken_by_previous(chained), sent_[at(chained)]) << "chained";
        for (const int sig : others_) {
            for (std::size_t k = 0; k < owners; ++k)
                EXPECT_EQ(seen_[k][at(sig)], rounds_) << "signal " << sig << ", owner " << k;
        }
    }

    subscription_options draw(lots& chance)
    {
        subscription_options options;
        options.delivery = std::array{delivery::merge, delivery::count, delivery::queue}[lot(chance, 3)];
        options.capacity = std::array<std::size_t, 4>{1, 2, 64, 1024}[lot(chance, 4)];
        options.restart = lot(chance, 2) == 0;
        options.chain = lot(chance, 4) == 0;
        options.once = lot(chance, 8) == 0;
        options.respect_ignore = lot(chance, 8) == 0;
        options.pending = std::array{at_cancel::redeliver, at_cancel::drop, at_cancel::run}[lot(chance, 3)];
        return options;
    }

    // What comes and goes: for the flood, for some of the others, or for the chained one.
    void subscribe(inbox& box, lots& chance)
    {
        auto options = draw(chance);
        tocsin::signal_set wanted;
        if (lot(chance, 3) == 0) {
            wanted = {chained};
            options.chain = true;
        } else {
            if (lot(chance, 2) == 0)
                wanted.insert(flood);
            for (std::size_t n = lot(chance, 4); n > 0 || wanted.empty(); n -= n > 0)
                wanted.insert(others_[lot(chance, others_.size())]);
        }
        auto made = std::make_shared<churned>();
        const unsigned by_itself = 1U << lot(chance, 8);
        const auto callback = [this, weak = std::weak_ptr(made), by_itself, calls = 0U]() mutable {
            const auto me = weak.lock();
            if (me == nullptr || me->over) {
                ++late_;
                return;
            }
            ++me->inside;
            const bool ends = ++calls == by_itself && !me->in_use.exchange(true);
            if (ends) {
                cancel(*me);
                me->in_use = false;
            }
            if (me->over)
                ++late_;
            --me->inside;
            if (calls == 3 && may_throw)
                throw thrown();
        };
        made->held = box.on(wanted, callback, options);
        const std::lock_guard hold(pool_mutex_);
        pool_.push_back(std::move(made));
    }

    static void cancel(churned& one) // whose callback may run here
    {
        const bool could_throw = std::exchange(may_throw, false);
        one.held.cancel();
        may_throw = could_throw;
    }

    void end(churned& one)
    {
        while (one.in_use.exchange(true))
            ::sched_yield();
        cancel(one);
        if (one.inside != 0)
            ++late_;
        one.over = true;
        ++ended_;
        one.held = subscription();
    }

    void end_one(lots& chance)
    {
        std::shared_ptr<churned> one;
        {
            const std::lock_guard hold(pool_mutex_);
            if (pool_.empty())
                return;
            std::swap(pool_[lot(chance, pool_.size())], pool_.back());
            one = std::move(pool_.back());
            pool_.pop_back();
        }
        end(*one);
    }

    bool pool_is_full()
    {
        const std::lock_guard hold(pool_mutex_);
        return pool_.size() >= most;
    }

    void renew_own(inbox& box, std::size_t k, lots& chance)
    {
        auto options = draw(chance);
        options.chain = false;
        options.once = options.once && options.pending != at_cancel::run;
        if (options.pending == at_cancel::drop)
            options.pending = at_cancel::redeliver;
        const std::lock_guard hold(own_mutex_[k]);
        own_[k].cancel();
        own_dropped_[k] += own_[k].dropped();
        own_[k] = box.on(
            first_own + static_cast<int>(k), [this, k](const tocsin::event& e) { own_seen_[k] += e.count; }, options);
    }

    void end_own(std::size_t k)
    {
        const std::lock_guard hold(own_mutex_[k]);
        own_[k].cancel();
        ++ended_;
    }

    void run_pending(inbox& box)
    {
        may_throw = true;
        try {
            box.run_pending();
        } catch (const thrown&) {
        }
        may_throw = false;
    }

    void own(std::size_t k, std::uint64_t seed)
    {
        lots chance(seed);
        inbox box;
        auto options = options_of(std::array{delivery::merge, delivery::count, delivery::queue}[k % 3],
                                  std::array<std::size_t, 3>{1024, 1, 64}[k / 3]);
        options.restart = k % 2 == 0;
        const auto steady = box.on(
            flood, [this, k](const tocsin::event& e) { flood_seen_[k] += e.count; }, options);
        tocsin::signal_set all;
        for (const int sig : others_)
            all.insert(sig);
        all.insert(SIGCONT);
        const auto steady_others = box.on(
            all, [this, k](const tocsin::event& e) { seen_[k][at(e.signo)] += e.count; }, options);
        ++ready_;
        while (!over_) {
            if (pool_is_full())
                end_one(chance);
            switch (lot(chance, 10)) {
            case 0:
            case 1:
                subscribe(box, chance);
                break;
            case 2:
                end_one(chance);
                break;
            case 3:
            case 4:
                renew_own(box, k, chance);
                break;
            case 5:
                end_own(lot(chance, owners));
                break;
            case 6: {
                inbox guest;
                subscribe(guest, chance);
                renew_own(guest, k, chance);
                spin(static_cast<int>(lot(chance, 5000)));
                run_pending(guest);
                break;
            }
            case 7:
                if (k % 2 == 0) {
                    may_throw = false;
                    box.wait(std::chrono::microseconds(lot(chance, 2000)));
                } else {
                    pollfd each{box.native_handle(), POLLIN, 0};
                    ::poll(&each, 1, static_cast<int>(lot(chance, 3)));
                }
                break;
            default:
                spin(static_cast<int>(lot(chance, 5000)));
            }
            run_pending(box);
            flood_dropped_[k] = steady.dropped();
        }
        run_pending(box);
        end_own(k);
    }

    // Not more on their way than the kernel's queue can hold: what is passed on finds no room then, and nobody is told.
    void let_them_catch_up()
    {
        EXPECT_TRUE(support::eventually([&] { return of_flood(0) + 1000 >= sent_[at(flood)]; }, patience));
    }

    void send_many(std::uint64_t seed)
    {
        lots chance(seed);
        unsigned on_their_way = 0;
        const int goal = stress::size(5'000, 30'000);
        for (int n = 0; n < goal || !enough_; ++n) {
            const int sig = lot(chance, 3) != 0 ? flood : first_own + static_cast<int>(lot(chance, owners + 1));
            ++sent_[at(sig)];
            switch (lot(chance, 16)) {
            case 0:
                send_to_process(sig, n);
                ++on_their_way;
                break;
            case 1:
                if (sig == flood) {
                    while (::pthread_sigqueue(threads_[lot(chance, owners)].native_handle(), sig, {.sival_int = n}) ==
                           EAGAIN)
                        ::sched_yield();
                    ++on_their_way;
                    break;
                }
                [[fallthrough]];
            default:
                send_to_this_thread(sig, n);
            }
            if (on_their_way == 200) {
                if (!support::thread_sanitizer)
                    let_them_catch_up();
                on_their_way = 0;
            }
        }
    }

    void send_others(std::uint64_t seed)
    {
        lots chance(seed);
        std::vector<int> order = others_;
        while ((rounds_ == 0 || !enough_) && !testing::Test::HasFailure()) {
            ++rounds_;
            std::shuffle(order.begin(), order.end(), chance);
            for (const int sig : order)
                send_somehow(sig, chance);
            expect_all_seen(others_);
            // Alone: the kernel drops it when one that stops comes, and the other way round.
            send_somehow(SIGCONT, chance);
            expect_all_seen({SIGCONT});
        }
    }

    void send_somehow(int sig, lots& chance)
    {
        switch (lot(chance, 3)) {
        case 0:
            ::kill(::getpid(), sig);
            break;
        case 1:
            ::pthread_kill(threads_[lot(chance, owners)].native_handle(), sig);
            break;
        default:
            ::pthread_kill(::pthread_self(), sig);
        }
    }

    void expect_all_seen(const std::vector<int>& signals)
    {
        if (support::thread_sanitizer)
            return;
        for (const int sig : signals) {
            for (std::size_t k = 0; k < owners; ++k) {
                const auto& seen = seen_[k][at(sig)];
                ASSERT_TRUE(support::eventually([&] { return seen >= rounds_; }, patience))
                    << "signal " << sig << " to owner " << k << ", round " << rounds_;
            }
        }
    }

    static thread_local bool may_throw; // in run_pending(), which is ready for it

    std::mt19937_64& chance_;
    std::vector<int> others_;
    std::array<std::thread, owners> threads_;
    std::atomic<std::size_t> ready_{0};
    std::atomic<bool> enough_{false};
    std::atomic<bool> over_{false};
    std::mutex pool_mutex_;
    std::vector<std::shared_ptr<churned>> pool_;
    std::array<std::mutex, owners> own_mutex_;
    std::array<subscription, owners> own_;

    template <std::size_t Size>
    using counts = std::array<std::atomic<std::uint64_t>, Size>;
    counts<tocsin::nsig> sent_{};
    counts<owners> flood_seen_{};
    counts<owners> flood_dropped_{};
    counts<owners> own_seen_{};
    counts<owners> own_dropped_{};
    std::array<counts<tocsin::nsig>, owners> seen_{};
    std::uint64_t rounds_ = 0;
    std::atomic<std::uint64_t> ended_{0};
    std::atomic<unsigned> late_{0};
};

thread_local bool storm::may_throw = false;

TEST(G1, eight_inboxes_in_a_storm_lose_nothing_and_leave_nothing_behind)
{
    SKIP_IF_EMULATED("it aborts in this storm (cpu_exec: assertion failed: cpu == current_cpu)");
    auto chance = stress::make_chance();
    const std::size_t descriptors_before = descriptors();
    std::size_t memory_before = 0;
    std::uint64_t sent = 0;
    std::uint64_t ended = 0;
    const int parts = stress::size(4, 40);
    for (int n = 0; n < parts && !HasFailure(); ++n) {
        const auto part = std::make_unique<storm>(chance);
        part->run(milliseconds(stress::size(750, 1500)));
        sent += part->sent();
        ended += part->came_and_went();
        EXPECT_EQ(descriptors(), descriptors_before);
        if (n == 1) // once everything has been used
            memory_before = memory();
    }
    std::printf("%llu signals of one number, %llu subscriptions, memory %zu, then %zu\n",
                static_cast<unsigned long long>(sent), static_cast<unsigned long long>(ended), memory_before, memory());
    if (!has_own_malloc) {
        EXPECT_LT(memory(), memory_before + 64 * 1024);
    }
}

// Sends whenever it is told to, and says when the signal has arrived: somewhere else, or in the sending thread.
class sender {
public:
    enum class way { to_process, to_another, to_itself };

    explicit sender(pthread_t other)
        : other_(other)
        , thread_([this] { run(); })
    {}
    sender(const sender&) = delete;
    sender& operator=(const sender&) = delete;
    ~sender()
    {
        round_ = -1;
        thread_.join();
    }

    void begin(int sig, way how, int turns)
    {
        sig_ = sig;
        how_ = how;
        turns_ = turns;
        ++round_;
    }
    [[nodiscard]] bool has_sent() const { return sent_ == round_; }
    void await() const
    {
        while (!has_sent())
            ::sched_yield();
        ::sched_yield(); // the kernel hands out what has come for this thread
    }

private:
    void run()
    {
        for (int last = 0;; last = round_) {
            while (round_ == last)
                ::sched_yield();
            if (round_ == -1)
                return;
            spin(turns_);
            switch (how_) {
            case way::to_process:
                ::kill(::getpid(), sig_);
                break;
            case way::to_another:
                ::pthread_kill(other_, sig_);
                break;
            case way::to_itself:
                ::pthread_kill(::pthread_self(), sig_);
            }
            ::sched_yield();
            sent_.store(round_);
        }
    }

    pthread_t other_;
    int sig_ = 0;
    way how_ = way::to_process;
    int turns_ = 0;
    std::atomic<int> round_{0};
    std::atomic<int> sent_{0};
    std::thread thread_;
};

// When the signal comes, as seen from cancel(); and who cancels: the owner of the inbox, or another thread while the owner
// may be in the callback.
enum class moment { ran_before, pending_before, around, after };

struct cancel_plan {
    int sig;
    sender::way how;
    moment when;
    subscription_options options;
    bool elsewhere;
    bool yields; // before cancel(): on one processor the sender gets its turn there
    int sender_waits;
    int waits;

    void wait() const
    {
        if (yields)
            ::sched_yield();
        spin(waits);
    }

    friend std::ostream& operator<<(std::ostream& out, const cancel_plan& p)
    {
        return out << "signal " << p.sig << ", way " << static_cast<int>(p.how) << ", moment "
                   << static_cast<int>(p.when) << ", delivery " << static_cast<int>(p.options.delivery)
                   << ", at_cancel " << static_cast<int>(p.options.pending) << (p.options.once ? ", once" : "")
                   << (p.elsewhere ? ", cancelled by another thread" : "");
    }
};

class cancelling {
public:
    explicit cancelling(at_cancel what)
        : what_(what)
    {}

    cancel_plan draw()
    {
        const auto lot = [&](unsigned n) { return static_cast<int>(chance_() % n); };
        cancel_plan p{};
        p.sig = std::array{SIGUSR1, SIGTERM, SIGRTMIN}[at(lot(3))];
        p.how = static_cast<sender::way>(lot(3));
        p.when = std::array{moment::around,     moment::around,         moment::around, moment::around,
                            moment::ran_before, moment::pending_before, moment::after}[at(lot(7))];
        p.options = options_of(std::array{delivery::merge, delivery::count, delivery::queue}[at(lot(3))], 4);
        p.options.pending = what_;
        p.options.once = lot(4) == 0;
        p.options.restart = lot(2) == 0;
        p.elsewhere = lot(2) == 0;
        p.yields = lot(2) == 0;
        p.sender_waits = lot(4000) + std::max(0, -aim_);
        p.waits = lot(4000) + std::max(0, aim_);
        return p;
    }

    // Returns the calls of the callback. The caller has set what holds before and looks at it afterwards.
    unsigned one(const cancel_plan& p, sender& send)
    {
        std::atomic<unsigned> calls{0};
        std::atomic<bool> over{false};
        inbox box;
        auto held = box.on(
            p.sig,
            [&](const tocsin::event& e) {
                EXPECT_FALSE(over) << p;
                calls += static_cast<unsigned>(e.count);
            },
            p.options);
        if (p.when == moment::ran_before || p.when == moment::pending_before) {
            send.begin(p.sig, p.how, 0);
            send.await();
            if (p.when == moment::ran_before)
                box.run_pending();
        } else if (p.when == moment::around) {
            send.begin(p.sig, p.how, p.sender_waits);
        }
        const auto cancel = [&] {
            p.wait();
            before_ = send.has_sent();
            held.cancel();
            over = true;
        };
        if (p.elsewhere && p.when == moment::around) {
            std::thread other(cancel);
            while (!over)
                box.run_pending();
            other.join();
        } else {
            cancel();
        }
        if (p.when == moment::after)
            send.begin(p.sig, p.how, 0);
        send.await();
        box.run_pending();
        if (p.when == moment::around) // so that the signal comes before as often as after
            aim_ += before_ ? -300 : 300;
        EXPECT_EQ(p.when == moment::ran_before && calls != 1, false) << p << ": " << calls << " calls";
        EXPECT_EQ(p.when == moment::after && calls != 0, false) << p << ": " << calls << " calls";
        return calls;
    }

private:
    at_cancel what_;
    std::mt19937_64 chance_ = stress::make_chance();
    int aim_ = 0;
    bool before_ = false;
};

void cancel_over_a_handler(at_cancel what)
{
    SKIP_WHERE_SIGNALS_MERGE();
    SKIP_WITHOUT_ATOMIC_DISPOSITIONS();
    cancelling rounds(what);
    sender send(::pthread_self());
    unsigned called = 0;
    unsigned met = 0;
    for (int n = stress::size(400, 50'000); n > 0 && !testing::Test::HasFailure(); --n) {
        const cancel_plan p = rounds.draw();
        be_previous(p.sig);
        const unsigned calls = rounds.one(p, send);
        const auto total = [&] { return calls + taken_by_previous(p.sig); };
        if (what != at_cancel::drop || p.when != moment::around) {
            const unsigned due = what == at_cancel::drop && p.when == moment::pending_before ? 0 : 1;
            EXPECT_TRUE(support::eventually([&] { return total() >= due; }, patience)) << p;
            EXPECT_EQ(total(), due) << p << ": " << calls << " calls";
        } else {
            EXPECT_LE(total(), 1U) << p << ": " << calls << " calls";
        }
        called += calls;
        met += static_cast<unsigned>(taken_by_previous(p.sig));
    }
    std::printf("%u called, %u met the handler before\n", called, met);
    EXPECT_GT(called, 0U);
    EXPECT_GT(met, 0U);
}

TEST(G8, a_signal_around_cancel_is_redelivered_or_called_or_meets_the_handler_before)
{
    cancel_over_a_handler(at_cancel::redeliver);
}
TEST(G8, a_signal_around_cancel_is_run_or_meets_the_handler_before) { cancel_over_a_handler(at_cancel::run); }
TEST(G8, a_signal_around_cancel_is_dropped_only_if_it_came_before) { cancel_over_a_handler(at_cancel::drop); }

TEST(G8, a_signal_around_cancel_is_called_at_most_once_where_it_was_ignored)
{
    SKIP_WITHOUT_ATOMIC_DISPOSITIONS();
    SKIP_WHERE_SIGNALS_MERGE();
    for (const at_cancel what : {at_cancel::redeliver, at_cancel::drop, at_cancel::run}) {
        cancelling rounds(what);
        sender send(::pthread_self());
        unsigned called = 0;
        const int total = stress::size(150, 20'000);
        for (int n = total; n > 0 && !HasFailure(); --n) {
            const cancel_plan p = rounds.draw();
            ASSERT_NE(::signal(p.sig, SIG_IGN), SIG_ERR);
            const unsigned calls = rounds.one(p, send);
            EXPECT_LE(calls, 1U) << p;
            if (p.when == moment::pending_before) {
                EXPECT_EQ(calls, what == at_cancel::run ? 1U : 0U) << p;
            }
            called += calls;
        }
        std::printf("%u called, %u not\n", called, static_cast<unsigned>(total) - called);
        EXPECT_GT(called, 0U);
        EXPECT_LT(called, static_cast<unsigned>(total));
    }
}

// One process a round. It says how often it was called through memory that both see.
TEST(G8, a_signal_around_cancel_is_called_or_takes_the_default_action)
{
    SKIP_WITHOUT_ATOMIC_DISPOSITIONS();
    SKIP_WHERE_SIGNALS_MERGE();
    void* const page =
        ::mmap(nullptr, sizeof(std::atomic<unsigned>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(page, MAP_FAILED);
    auto* const calls = new (page) std::atomic<unsigned>;
    for (const at_cancel what : {at_cancel::redeliver, at_cancel::drop, at_cancel::run}) {
        cancelling rounds(what);
        unsigned called = 0;
        unsigned died = 0;
        for (int n = stress::size(200, 5'000); n > 0 && !HasFailure(); --n) {
            const cancel_plan p = rounds.draw();
            *calls = 0;
            const int status = support::in_child([&] {
                ::signal(p.sig, SIG_DFL);
                sender send(::pthread_self());
                inbox box;
                auto held = box.on(
                    p.sig, [&](const tocsin::event& e) { *calls += static_cast<unsigned>(e.count); }, p.options);
                if (p.when == moment::ran_before || p.when == moment::pending_before) {
                    send.begin(p.sig, p.how, 0);
                    send.await();
                    if (p.when == moment::ran_before)
                        box.run_pending();
                } else if (p.when == moment::around) {
                    send.begin(p.sig, p.how, p.sender_waits);
                }
                p.wait();
                held.cancel();
                if (p.when == moment::after)
                    send.begin(p.sig, p.how, 0);
                send.await();
                return testing::Test::HasFailure() ? 1 : 0;
            });
            const unsigned deaths = support::died_of(status, p.sig) ? 1 : 0;
            ASSERT_TRUE(deaths == 1 || support::exited_with(status, 0)) << p << ": wait status " << status;
            if (what == at_cancel::drop && (p.when == moment::around || p.when == moment::pending_before)) {
                EXPECT_LE(*calls + deaths, 1U) << p;
            } else {
                EXPECT_EQ(*calls + deaths, 1U) << p << ": " << *calls << " calls, " << deaths << " deaths";
            }
            called += *calls;
            died += deaths;
        }
        std::printf("%u called, %u died\n", called, died);
        EXPECT_GT(called, 0U);
        EXPECT_GT(died, 0U);
    }
}

TEST(G8, the_handler_that_is_chained_gets_each_signal_once_also_what_is_pending_at_the_end)
{
    be_previous(SIGUSR1);
    inbox box;
    int calls = 0;
    auto options = options_of(delivery::merge);
    options.chain = true;
    auto held = box.on(
        SIGUSR1, [&] { ++calls; }, options);
    ::raise(SIGUSR1);
    EXPECT_EQ(taken_by_previous(SIGUSR1), 1U);
    held.cancel();
    ::sched_yield();
    EXPECT_EQ(calls, 0);
    EXPECT_EQ(taken_by_previous(SIGUSR1), 1U);
}

TEST(G7, the_handler_that_is_chained_gets_each_signal_while_subscriptions_come_and_go)
{
    SKIP_WITHOUT_ATOMIC_DISPOSITIONS();
    SKIP_WHERE_SIGNALS_MERGE();
    const int each = stress::size(5'000, 500'000);
    be_previous(SIGRTMIN);
    std::atomic<int> running{2};
    std::vector<std::thread> senders;
    for (int n = 0; n < 2; ++n) {
        senders.emplace_back([&] {
            for (int sent = 0; sent < each; ++sent) {
                send_to_this_thread(SIGRTMIN, sent);
                if (sent % 16 == 0)
                    ::sched_yield();
            }
            --running;
        });
    }
    std::uint64_t calls = 0;
    for (unsigned n = 0; running != 0; ++n) {
        inbox box;
        auto options = options_of(std::array{delivery::merge, delivery::count, delivery::queue}[n % 3]);
        options.pending = std::array{at_cancel::redeliver, at_cancel::drop, at_cancel::run}[n / 3 % 3];
        options.chain = true;
        auto held = box.on(
            SIGRTMIN, [&] { ++calls; }, options);
        ::sched_yield();
        if (n % 2 == 0)
            box.run_pending();
    }
    for (std::thread& one : senders)
        one.join();
    EXPECT_TRUE(support::eventually(
        [&] { return taken_by_previous(SIGRTMIN) >= std::uint64_t{2} * static_cast<unsigned>(each); }, patience));
    EXPECT_EQ(taken_by_previous(SIGRTMIN), std::uint64_t{2} * static_cast<unsigned>(each));
    EXPECT_GT(calls, 0U);
}

TEST(G1, a_queue_that_one_signal_fills_has_room_for_another)
{
    inbox box;
    const auto held = box.on({SIGUSR1, SIGUSR2}, options_of(delivery::queue, 4));
    for (int n = 0; n < 10; ++n)
        ::raise(SIGUSR1);
    ::raise(SIGUSR2);
    int last = 0;
    unsigned events = 0;
    while (const auto next = box.try_next()) {
        last = next->signo;
        ++events;
    }
    EXPECT_EQ(last, SIGUSR2);
    EXPECT_EQ(events, 5U);
    EXPECT_EQ(held.dropped(), 6U);
}

TEST(G3, each_signal_wakes_an_owner_that_waits)
{
    for (const bool polls : {false, true}) {
        std::atomic<int> called{0};
        std::atomic<bool> ready{false};
        std::atomic<bool> over{false};
        inbox box; // outlives its owner: it is woken from here at the end
        std::thread owner([&] {
            const auto held = box.on(SIGUSR1, [&] { ++called; });
            pollfd each{polls ? box.native_handle() : -1, POLLIN, 0};
            ready = true;
            while (!over) {
                if (polls)
                    ::poll(&each, 1, -1);
                else
                    box.wait();
                box.run_pending();
            }
        });
        while (!ready)
            ::sched_yield();
        for (int n = 1; n <= stress::size(20'000, 1'000'000) && !HasFailure(); ++n) {
            ::pthread_kill(::pthread_self(), SIGUSR1);
            EXPECT_TRUE(support::eventually([&] { return called == n; }, patience))
                << "signal " << n << " wakes nobody";
        }
        over = true;
        box.wake();
        owner.join();
    }
}

TEST(G4, a_hundred_of_a_hundred_values_come_in_order)
{
    SKIP_WHERE_SIGNALS_MERGE();
    auto chance = stress::make_chance();
    inbox box;
    inbox second;
    std::vector<int> seen;
    std::vector<int> also_seen;
    const auto keep = [](std::vector<int>& where) {
        return [&](const tocsin::event& e) { where.push_back(e.info.value()->sival_int); };
    };
    const auto held = box.on(SIGRTMIN, keep(seen), options_of(delivery::queue, 128));
    const auto held_too = second.on(SIGRTMIN, keep(also_seen), options_of(delivery::queue, 128));
    std::vector<int> wanted;
    for (int n = 0; n < 100; ++n)
        wanted.push_back(n);
    std::atomic<bool> over{false};
    std::optional<tocsin::mask_guard> not_there(std::in_place, tocsin::signal_set{SIGRTMIN}); // from its beginning
    std::thread other([&] { // another signal all the while, from a thread that takes none of those
        sigset_t all;
        ::sigfillset(&all);
        ::sigdelset(&all, SIGUSR1);
        ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
        inbox noise;
        auto options = options_of(delivery::merge);
        options.pending = at_cancel::drop;
        const auto ignored = noise.on(
            SIGUSR1, [] {}, options);
        while (!over)
            ::pthread_kill(::pthread_self(), SIGUSR1);
    });
    not_there.reset();
    for (int round = stress::size(100, 5'000); round > 0 && !HasFailure(); --round) {
        seen.clear();
        also_seen.clear();
        const auto run_now_and_then = [&] {
            if (chance() % 32 == 0)
                box.run_pending();
            if (chance() % 32 == 0)
                second.run_pending();
        };
        switch (round % 3) {
        case 0: // another process; this thread alone takes them
            if (const pid_t pid = ::fork(); pid == 0) {
                for (int n = 0; n < 100; ++n)
                    ::sigqueue(::getppid(), SIGRTMIN, {.sival_int = n});
                ::_exit(0);
            } else {
                while (::waitpid(pid, nullptr, WNOHANG) == 0)
                    run_now_and_then();
            }
            break;
        case 1: { // queued by the kernel first
            const tocsin::mask_guard blocked({SIGRTMIN});
            for (int n = 0; n < 100; ++n)
                ::sigqueue(::getpid(), SIGRTMIN, {.sival_int = n});
            break;
        }
        default:
            for (int n = 0; n < 100; ++n) {
                send_to_this_thread(SIGRTMIN, n);
                run_now_and_then();
            }
        }
        ::sched_yield();
        box.run_pending();
        second.run_pending();
        EXPECT_EQ(seen, wanted) << "way " << round % 3;
        EXPECT_EQ(also_seen, wanted) << "way " << round % 3;
    }
    over = true;
    other.join();
    EXPECT_EQ(held.dropped() + held_too.dropped(), 0U);
}

// Several producers, each in order; an owner that is sometimes too slow.
TEST(G4, at_overflow_calls_and_drops_are_what_was_sent)
{
    SKIP_WHERE_SIGNALS_MERGE();
    auto chance = stress::make_chance();
    constexpr int producers = 3;
    const int each = stress::size(20'000, 200'000);
    for (const std::size_t capacity : std::array<std::size_t, 4>{1, 2, 64, 1024}) {
        inbox box;
        std::array<int, producers> last{};
        last.fill(-1);
        std::uint64_t calls = 0;
        const auto queued = box.on(
            SIGRTMIN,
            [&](const tocsin::event& e) {
                ++calls;
                int& before = last[at(e.info.value()->sival_int % producers)];
                EXPECT_LT(before, e.info.value()->sival_int);
                before = e.info.value()->sival_int;
            },
            options_of(delivery::queue, capacity));
        std::uint64_t merged = 0;
        const auto beside = box.on(SIGRTMIN, [&](const tocsin::event& e) { merged += e.count; });
        const auto pulled = box.on(SIGRTMIN, options_of(delivery::queue, capacity));
        std::uint64_t events = 0;
        std::atomic<int> running{producers};
        std::vector<std::thread> threads;
        for (int id = 0; id < producers; ++id) {
            threads.emplace_back([&, id, lots = std::mt19937_64(chance())]() mutable {
                for (int n = 0; n < each; ++n) {
                    send_to_this_thread(SIGRTMIN, n * producers + id);
                    if (lots() % 64 == 0)
                        ::sched_yield();
                }
                --running;
            });
        }
        while (running != 0) {
            spin(static_cast<int>(chance() % (capacity * 50)));
            box.run_pending();
            if (chance() % 4 == 0)
                events += box.try_next() ? 1 : 0;
        }
        for (std::thread& one : threads)
            one.join();
        while (box.try_next())
            ++events;
        box.run_pending();
        const std::uint64_t sent = std::uint64_t{producers} * static_cast<unsigned>(each);
        std::printf("capacity %zu: %llu called, %llu dropped\n", capacity, static_cast<unsigned long long>(calls),
                    static_cast<unsigned long long>(queued.dropped()));
        EXPECT_EQ(calls + queued.dropped(), sent);
        EXPECT_EQ(queued.delivered(), calls);
        EXPECT_EQ(events + pulled.dropped(), sent);
        EXPECT_EQ(merged, sent);
        EXPECT_GT(calls, 0U);
        if (capacity <= 2) {
            EXPECT_GT(queued.dropped(), 0U);
        }
    }
}

TEST(inbox, each_of_the_sixty_three_can_be_had_again_and_again)
{
    const std::size_t before = descriptors();
    for (int round = 0; round < 10; ++round) {
        std::vector<inbox> all;
        std::vector<subscription> held;
        for (std::size_t n = 0; n < inbox::max_inboxes; ++n) {
            ASSERT_NO_THROW(all.emplace_back()) << "inbox " << n << ", round " << round;
            held.push_back(all.back().on(SIGUSR1, [] {}));
        }
        EXPECT_THROW(inbox(), std::length_error);
        ::raise(SIGUSR1);
        for (inbox& each : all)
            EXPECT_EQ(each.run_pending(), 1U);
        all.clear();
        EXPECT_EQ(descriptors(), before); // whoever keeps a subscription keeps no inbox
    }
}

// A callback takes its time, so that cancel() on another thread has to wait for it.
TEST(subscription, no_callback_runs_once_cancel_has_returned)
{
    auto chance = stress::make_chance();
    unsigned in_callback = 0;
    be_previous(SIGUSR1); // which gets those sent too late
    for (int n = stress::size(500, 20'000); n > 0 && !HasFailure(); --n) {
        std::atomic<bool> inside{false};
        std::atomic<bool> over{false};
        inbox box;
        auto held = box.on(SIGUSR1, [&] {
            inside = true;
            ::sched_yield();
            spin(static_cast<int>(chance() % 20'000));
            EXPECT_FALSE(over);
            inside = false;
        });
        std::atomic<bool> begins{false};
        std::thread canceller([&, waits = static_cast<int>(chance() % 4000)] {
            begins = true;
            while (waits % 2 == 0 && !inside)
                ::sched_yield();
            spin(waits);
            in_callback += inside ? 1U : 0U;
            held.cancel();
            EXPECT_FALSE(inside);
            over = true;
        });
        while (!begins)
            ::sched_yield();
        while (!over) {
            ::pthread_kill(::pthread_self(), SIGUSR1);
            box.run_pending();
        }
        canceller.join();
    }
    std::printf("%u times in the callback\n", in_callback);
    EXPECT_GT(in_callback, 0U);
}

} // namespace
