// For asio.cpp and boost_asio.cpp: the scenarios, and what is special to Asio. `library` is Asio's namespace, `adapter` ours,
// SUITE the name of the tests.

#include <fcntl.h>

#include <cstddef>

#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "scenarios.hpp"

namespace {

using namespace std::chrono_literals;
using adapter::error_code;
using adapter::signals;
using adapter::timer;
using library::io_context;
using tocsin::delivery;
using tocsin::event;

// --- The scenarios

class asio_loop {
public:
    void run_once()
    {
        if (context.run_one_for(20ms) == 0)
            return;
        for (int n = 0; n < 100 && context.poll_one() != 0; ++n) {
        }
    }
    void after_fork() { context.notify_fork(io_context::fork_child); }

    io_context context;

private:
    library::executor_work_guard<io_context::executor_type> keep_running_ = library::make_work_guard(context);
};

// Waits again after each event, as long as it lives.
template <class Waitable, class Callback>
class repeated {
public:
    template <class... Arguments>
    explicit repeated(Callback callback, Arguments&&... arguments)
        : state_(std::make_shared<state>(std::move(callback), std::forward<Arguments>(arguments)...))
    {
        state::wait(state_);
    }
    repeated(const repeated&) = delete;
    repeated& operator=(const repeated&) = delete;
    ~repeated() { cancel(); }

    void cancel() { state_->object.reset(); }
    [[nodiscard]] Waitable& object() { return *state_->object; }

private:
    struct state {
        template <class... Arguments>
        explicit state(Callback function, Arguments&&... arguments)
            : callback(std::move(function))
            , object(std::in_place, std::forward<Arguments>(arguments)...)
        {}
        static void wait(const std::shared_ptr<state>& self)
        {
            self->object->async_wait([self](error_code error, const auto& value) {
                if (error) {
                    EXPECT_EQ(error, library::error::operation_aborted);
                    return;
                }
                EXPECT_TRUE(self->object);
                self->callback(value);
                if (self->object)
                    wait(self);
            });
        }
        Callback callback;
        std::optional<Waitable> object;
    };
    std::shared_ptr<state> state_;
};

struct driver {
    using loop = asio_loop;

    class listener : public repeated<signals, scenarios::callback> {
    public:
        listener(loop& where, const tocsin::signal_set& set, scenarios::callback function,
                 tocsin::subscription_options options = {})
            : repeated(std::move(function), where.context, set, options)
        {}
    };

    class ticker : public repeated<timer, tocsin::timer_callback> {
    public:
        ticker(loop& where, tocsin::timer_callback function)
            : repeated(std::move(function), where.context)
        {}
        [[nodiscard]] tocsin::timer_fd& fd() { return object().fd(); }
    };

    class timers : public adapter::timers {
    public:
        explicit timers(loop& where)
            : adapter::timers(where.context)
        {}
    };

    static constexpr bool loop_may_go_first = false;
    static constexpr bool cancels_from_other_threads = false; // see below: no event is taken, but nobody is waited for
};
SCENARIOS(SUITE, driver)

// --- What a wait is

static_assert(std::is_nothrow_move_constructible_v<signals> && std::is_nothrow_move_assignable_v<signals>);
static_assert(!std::is_copy_constructible_v<signals> && !std::is_copy_assignable_v<signals>);
static_assert(std::is_same_v<signals::rebind_executor<io_context::executor_type>::other,
                             adapter::basic_signals<io_context::executor_type>>);

// What a handler has been told.
template <class Value>
struct answer {
    int calls = 0;
    error_code error;
    Value value{};
    [[nodiscard]] auto handler()
    {
        return [this](error_code code, const Value& what) {
            ++calls;
            error = code;
            value = what;
        };
    }
    [[nodiscard]] bool aborted() const { return calls == 1 && error == library::error::operation_aborted; }
    [[nodiscard]] bool good() const { return calls == 1 && !error; }
};

TEST(SUITE, one_wait_is_for_one_event_and_what_came_before_it_counts)
{
    io_context context;
    adapter::basic_signals<io_context::executor_type> both(context.get_executor(), {SIGUSR1, SIGUSR2});
    ::raise(SIGUSR2);
    ::raise(SIGUSR1);
    ::raise(SIGUSR1);
    answer<event> first;
    answer<event> second;
    both.async_wait(first.handler());
    EXPECT_EQ(first.calls, 0); // never inside the call
    context.run();
    ASSERT_TRUE(first.good());
    EXPECT_EQ(first.value.signo, SIGUSR1);
    EXPECT_EQ(first.value.count, 2U);
    EXPECT_EQ(first.value.info.pid(), ::getpid());
    both.async_wait(second.handler());
    context.restart();
    context.run();
    ASSERT_TRUE(second.good());
    EXPECT_EQ(second.value.signo, SIGUSR2);
    EXPECT_EQ(both.subscription().delivered(), 2U);
    EXPECT_EQ(both.subscription().subscribed_signals(), (tocsin::signal_set{SIGUSR1, SIGUSR2}));
}

TEST(SUITE, an_event_says_where_it_was_waited_for)
{
    io_context context;
    signals listening(context, {SIGUSR1});
    answer<event> got;
    const auto line = tocsin::source_location::current().line() + 1;
    listening.async_wait(got.handler());
    ::raise(SIGUSR1);
    context.run();
    EXPECT_EQ(got.value.where.line(), line);
    EXPECT_STREQ(got.value.where.file_name(), __FILE__);
}

TEST(SUITE, what_cannot_be_listened_to_is_refused)
{
    io_context context;
    EXPECT_EQ(support::errno_of([&] { signals(context, {SIGKILL}); }), EINVAL);
    support::message_of<std::invalid_argument>([&] { signals(context, {}); });
    EXPECT_EQ(support::errno_of([&] { timer(context, 12345); }), EINVAL);
}

TEST(SUITE, a_queue_that_is_full_counts_its_drops)
{
    if (support::thread_sanitizer)
        GTEST_SKIP() << "its runtime keeps one arrival of each signal for a thread";
    io_context context;
    tocsin::subscription_options options;
    options.delivery = delivery::queue;
    options.capacity = 4;
    signals listening(context, {SIGRTMIN}, options);
    for (int n = 0; n < 10; ++n)
        ASSERT_EQ(::sigqueue(::getpid(), SIGRTMIN, sigval{n}), 0);
    for (int n = 0; n < 4; ++n) {
        answer<event> got;
        listening.async_wait(got.handler());
        context.restart();
        context.run();
        ASSERT_TRUE(got.good());
        EXPECT_EQ(got.value.info.value()->sival_int, n);
    }
    EXPECT_EQ(listening.subscription().dropped(), 6U);
}

TEST(SUITE, a_wait_outlives_a_move_and_not_an_assignment)
{
    io_context context;
    scenarios::install_foreign(SIGUSR2);
    signals first(context, {SIGUSR1});
    signals second(context, {SIGUSR2});
    answer<event> of_first;
    answer<event> of_second;
    first.async_wait(of_first.handler());
    second.async_wait(of_second.handler());
    second = std::move(first);
    EXPECT_TRUE(scenarios::is_foreign(SIGUSR2));
    ::raise(SIGUSR1);
    context.run();
    EXPECT_TRUE(of_first.good());
    EXPECT_TRUE(of_second.aborted());
    EXPECT_EQ(second.get_executor(), context.get_executor());
}

// --- Cancellation: no event is lost, none comes too late. The handler's executor is another context's, so that there is a
// time between the moment in which the descriptor is found readable and the handler's.

struct late_handler {
    io_context context;
    io_context handlers;
    std::optional<signals> listening{std::in_place, context, tocsin::signal_set{SIGUSR1}};
    answer<event> got;

    template <class Handler>
    void make_ready(Handler handler)
    {
        listening->async_wait(library::bind_executor(handlers.get_executor(), std::move(handler)));
        ::raise(SIGUSR1);
        context.poll(); // it has gone to the handler's
        EXPECT_EQ(got.calls, 0);
    }
    void expect_still_there()
    {
        answer<event> next;
        listening->async_wait(next.handler());
        context.restart();
        context.run();
        EXPECT_TRUE(next.good());
        EXPECT_EQ(next.value.count, 1U);
    }
};

TEST(SUITE, cancel_ends_all_waits_and_keeps_what_arrives)
{
    io_context context;
    signals listening(context, {SIGUSR1});
    answer<event> first;
    answer<event> second;
    answer<event> third;
    listening.async_wait(first.handler());
    listening.async_wait(second.handler());
    listening.cancel();
    listening.async_wait(third.handler());
    context.poll();
    EXPECT_TRUE(first.aborted());
    EXPECT_TRUE(second.aborted());
    EXPECT_EQ(third.calls, 0);
    ::raise(SIGUSR1);
    context.run();
    EXPECT_TRUE(third.good());
}

TEST(SUITE, cancelled_between_ready_and_its_handler)
{
    late_handler it;
    it.make_ready(it.got.handler());
    it.listening->cancel();
    it.handlers.run();
    EXPECT_TRUE(it.got.aborted());
    it.expect_still_there();
}

TEST(SUITE, destroyed_between_ready_and_its_handler)
{
    scenarios::install_foreign(SIGUSR1);
    late_handler it;
    it.make_ready(it.got.handler());
    it.listening.reset();
    EXPECT_EQ(scenarios::foreign_calls, 1); // what was pending meets the disposition before
    it.handlers.run();
    EXPECT_TRUE(it.got.aborted());
}

TEST(SUITE, a_context_that_ends_takes_a_handler_with_its_signals_along)
{
    scenarios::install_foreign(SIGUSR1);
    const std::ptrdiff_t before = scenarios::open_descriptors();
    for (const bool ready : {false, true}) {
        io_context context;
        signals first(context, {SIGUSR2});
        const auto owned = std::make_shared<std::pair<signals, timer>>(signals(context, {SIGUSR1}), timer(context));
        auto* const them = owned.get();
        them->first.async_wait([owned](error_code, const event&) { ADD_FAILURE() << "called"; });
        them->second.async_wait([owned](error_code, std::uint64_t) { ADD_FAILURE() << "called"; });
        if (!ready) {
            ::raise(SIGUSR1);
            continue;
        }
        answer<event> got;
        first.async_wait(got.handler());
        ::raise(SIGUSR2);
        ::raise(SIGUSR1);
        EXPECT_EQ(context.poll_one(), 1U); // both descriptors are found ready, and one handler is called
        EXPECT_TRUE(got.good());
    }
    EXPECT_EQ(scenarios::foreign_calls, 2);
    EXPECT_TRUE(scenarios::is_foreign(SIGUSR1));
    EXPECT_EQ(scenarios::open_descriptors(), before);
}

int inbox_descriptor = -1;
int open_at_the_end = 0;

// Asio closes what it watches, if it is not told otherwise: the inbox's must last until the inbox closes it.
TEST(SUITE, the_descriptor_is_the_inboxs_to_close)
{
    io_context context;
    const signals first(context, {SIGUSR2}); // Asio makes its own descriptors for the first
    inbox_descriptor = ::dup(0);
    ::close(inbox_descriptor); // the next
    ASSERT_NE(::signal(SIGUSR1, [](int) { open_at_the_end += ::fcntl(inbox_descriptor, F_GETFD) >= 0 ? 1 : 0; }),
              SIG_ERR);
    {
        const signals second(context, {SIGUSR1});
        ASSERT_GE(::fcntl(inbox_descriptor, F_GETFD), 0);
        ::raise(SIGUSR1);
    }
    EXPECT_EQ(open_at_the_end, 1); // when the subscription has ended
    EXPECT_EQ(::fcntl(inbox_descriptor, F_GETFD), -1);
}

// cancel() does not wait for a handler that runs; but no event is taken after it.
TEST(SUITE, cancelled_by_another_thread_under_a_flood)
{
    scenarios::install_foreign(SIGUSR1);
    io_context context;
    for (int round = 0; round < 40; ++round) {
        signals listening(context, {SIGUSR1});
        std::atomic<std::uint64_t> events{0};
        std::atomic<bool> cancelled{false};
        std::atomic<bool> stop{false};
        std::function<void()> wait = [&] {
            listening.async_wait([&](error_code error, const event&) {
                if (error) {
                    EXPECT_EQ(error, library::error::operation_aborted);
                    cancelled = true;
                } else {
                    ++events;
                    wait();
                }
            });
        };
        wait();
        scenarios::joined_thread sender([&] {
            while (!stop)
                ::raise(SIGUSR1);
        });
        scenarios::joined_thread canceller([&] {
            while (events < 3 && !stop)
                std::this_thread::yield();
            while (!cancelled && !stop) // the handler may wait again, after cancel()
                listening.cancel();
        });
        context.restart();
        while (!cancelled)
            ASSERT_NE(context.run_one_for(20s), 0U);
        const std::uint64_t before = events;
        const std::uint64_t taken = listening.subscription().delivered();
        context.restart();
        context.poll();
        stop = true;
        EXPECT_EQ(events, before);
        EXPECT_EQ(taken, before);
        EXPECT_EQ(listening.subscription().delivered(), before);
    }
}

#if LIBRARY_VERSION >= 101900
TEST(SUITE, a_slot_cancels_its_wait_alone)
{
    for (const auto type : {library::cancellation_type::terminal, library::cancellation_type::partial,
                            library::cancellation_type::total}) {
        io_context context;
        signals listening(context, {SIGUSR1});
        library::cancellation_signal cancellation;
        answer<event> first;
        answer<event> second;
        listening.async_wait(library::bind_cancellation_slot(cancellation.slot(), first.handler()));
        listening.async_wait(second.handler());
        cancellation.emit(type);
        context.poll();
        EXPECT_TRUE(first.aborted());
        EXPECT_EQ(second.calls, 0);
        ::raise(SIGUSR1);
        context.run();
        EXPECT_TRUE(second.good());
    }
}

TEST(SUITE, a_slot_cancels_between_ready_and_the_handler)
{
    late_handler it;
    library::cancellation_signal cancellation;
    it.make_ready(library::bind_cancellation_slot(cancellation.slot(), it.got.handler()));
    cancellation.emit(library::cancellation_type::total);
    it.handlers.run();
    EXPECT_TRUE(it.got.aborted());
    it.expect_still_there();
}

TEST(SUITE, a_slot_cancels_a_timer)
{
    io_context context;
    timer ticking(context);
    library::cancellation_signal cancellation;
    answer<std::uint64_t> got;
    ticking.fd().settime_ns(1h);
    ticking.async_wait(library::bind_cancellation_slot(cancellation.slot(), got.handler()));
    cancellation.emit(library::cancellation_type::total);
    context.run();
    EXPECT_TRUE(got.aborted());
}
#endif

TEST(SUITE, a_timer_that_is_set_again_is_waited_for_anew)
{
    io_context context;
    io_context handlers;
    timer ticking(context);
    answer<std::uint64_t> got;
    ticking.fd().settime_ns(1ns);
    ticking.async_wait(library::bind_executor(handlers.get_executor(), got.handler()));
    ASSERT_EQ(context.run_one_for(20s), 1U); // found ready
    ticking.fd().settime_ns(1h);
    ASSERT_EQ(handlers.poll(), 1U);
    EXPECT_EQ(got.calls, 0);
    ticking.fd().settime_ns(1ms);
    ASSERT_EQ(context.run_one_for(20s), 1U);
    handlers.restart();
    ASSERT_EQ(handlers.poll(), 1U);
    EXPECT_TRUE(got.good());
    EXPECT_EQ(got.value, 1U);
    answer<std::uint64_t> cancelled;
    ticking.async_wait(cancelled.handler());
    ticking.cancel();
    context.restart();
    context.run();
    EXPECT_TRUE(cancelled.aborted());
}

// --- Executors, allocators, threads

TEST(SUITE, several_threads_and_waits_get_each_event_once)
{
    constexpr int times = 2000;
    io_context context;
    tocsin::subscription_options options;
    options.delivery = delivery::queue;
    options.capacity = times;
    signals listening(context, {SIGRTMIN}, options);
    std::vector<std::atomic<int>> seen(times);
    std::atomic<int> events{0};
    std::function<void()> wait = [&] {
        listening.async_wait([&](error_code error, const event& e) {
            if (error)
                return;
            ++seen[static_cast<std::size_t>(e.info.value()->sival_int)];
            if (++events == times)
                listening.cancel();
            else
                wait();
        });
    };
    for (int n = 0; n < 6; ++n)
        wait();
    {
        std::vector<std::unique_ptr<scenarios::joined_thread>> threads;
        for (int n = 0; n < 3; ++n)
            threads.push_back(std::make_unique<scenarios::joined_thread>([&] { context.run(); }));
        for (int n = 0; n < times; ++n) {
            while (::sigqueue(::getpid(), SIGRTMIN, sigval{n}) != 0)
                std::this_thread::yield();
            if (support::thread_sanitizer && !support::eventually([&] { return events == n + 1; }))
                break; // its runtime keeps one arrival of each signal for a thread
        }
        EXPECT_TRUE(support::eventually([&] { return events == times; })) << events;
        listening.cancel();
        context.stop(); // a handler may have begun a wait after that
    }
    for (const auto& each : seen)
        ASSERT_EQ(each, 1);
    EXPECT_EQ(listening.subscription().dropped(), 0U);
}

TEST(SUITE, handlers_bound_to_a_strand_run_one_at_a_time)
{
    constexpr std::uint64_t times = 1000;
    scenarios::install_foreign(SIGUSR1); // what comes after the end
    io_context context;
    const auto strand = library::make_strand(context);
    signals first(strand, {SIGUSR1}, scenarios::with(delivery::count));
    signals second(context, {SIGUSR1}, scenarios::with(delivery::count));
    const std::uint64_t least = support::thread_sanitizer ? 1 : times;
    std::uint64_t of_first = 0; // guarded by the strand
    std::uint64_t of_second = 0;
    std::atomic<bool> sent{false};
    const auto check_end = [&] {
        if (sent && of_first >= least && of_second >= least) {
            first.cancel();
            second.cancel();
            return true;
        }
        return false;
    };
    std::function<void()> wait_first = [&] { // the strand is the object's own
        first.async_wait([&](error_code error, const event& e) {
            EXPECT_TRUE(strand.running_in_this_thread());
            if (error)
                return;
            of_first += e.count;
            if (!check_end())
                wait_first();
        });
    };
    std::function<void()> wait_second = [&] { // ... or bound to the handler
        second.async_wait(library::bind_executor(strand, [&](error_code error, const event& e) {
            EXPECT_TRUE(strand.running_in_this_thread());
            if (error)
                return;
            of_second += e.count;
            if (!check_end())
                wait_second();
        }));
    };
    library::post(strand, [&] {
        wait_first();
        wait_second();
    });
    std::vector<std::unique_ptr<scenarios::joined_thread>> threads;
    for (int n = 0; n < 3; ++n)
        threads.push_back(std::make_unique<scenarios::joined_thread>([&] { context.run(); }));
    for (std::uint64_t n = 1; n < times; ++n)
        ::raise(SIGUSR1);
    sent = true;
    ::raise(SIGUSR1);
    threads.clear(); // joins
    EXPECT_GE(of_first, least);
    EXPECT_GE(of_second, least);
    EXPECT_LE(of_first, times);
    EXPECT_LE(of_second, times);
}

template <class T>
struct counting_allocator {
    using value_type = T;
    std::atomic<int>* allocations;
    std::atomic<int>* in_use;

    counting_allocator(std::atomic<int>& all, std::atomic<int>& now)
        : allocations(&all)
        , in_use(&now)
    {}
    template <class U>
    counting_allocator(const counting_allocator<U>& other)
        : allocations(other.allocations)
        , in_use(other.in_use)
    {}
    T* allocate(std::size_t n)
    {
        ++*allocations;
        ++*in_use;
        return std::allocator<T>().allocate(n);
    }
    void deallocate(T* what, std::size_t n)
    {
        --*in_use;
        std::allocator<T>().deallocate(what, n);
    }
    template <class U>
    bool operator==(const counting_allocator<U>& other) const
    {
        return in_use == other.in_use;
    }
};

struct with_allocator {
    using allocator_type = counting_allocator<char>;
    allocator_type allocator;
    bool* called;

    [[nodiscard]] allocator_type get_allocator() const noexcept { return allocator; }
    void operator()(error_code error, const event&) const
    {
        EXPECT_FALSE(error);
        EXPECT_EQ(*allocator.in_use, 0); // given back before the handler is called
        *called = true;
    }
};

TEST(SUITE, the_handlers_allocator_is_used)
{
    io_context context;
    signals listening(context, {SIGUSR1});
    std::atomic<int> allocations{0};
    std::atomic<int> in_use{0};
    bool called = false;
    listening.async_wait(with_allocator{{allocations, in_use}, &called});
    ::raise(SIGUSR1);
    context.run();
    EXPECT_TRUE(called);
    EXPECT_GT(allocations, 0);
    EXPECT_EQ(in_use, 0);
}

// --- Errors, and handlers of the main thread

TEST(SUITE, what_a_handler_throws_leaves_from_run)
{
    io_context context;
    signals listening(context, {SIGUSR1, SIGUSR2});
    answer<event> second;
    listening.async_wait([&](error_code, const event&) { throw std::runtime_error("first"); });
    listening.async_wait(second.handler());
    ::raise(SIGUSR1);
    ::raise(SIGUSR2);
    EXPECT_EQ(support::message_of<std::runtime_error>([&] { context.run(); }), "first");
    context.run();
    EXPECT_TRUE(second.good());
    EXPECT_EQ(second.value.signo, SIGUSR2);
}

// --- Timers

TEST(SUITE, what_a_timers_callback_throws_leaves_from_run_and_the_others_go_on)
{
    io_context context;
    adapter::basic_timers<io_context::executor_type> timers(context.get_executor(), CLOCK_BOOTTIME);
    std::optional<tocsin::scheduled> last;
    int calls = 0;
    const auto first = timers.queue().after(0s, [&] {
        ++calls;
        throw 7;
    });
    const auto second = timers.queue().after(0s, [&] {
        ++calls;
        last = timers.queue().after(1ms, [&] {
            ++calls;
            context.stop();
        });
    });
    EXPECT_THROW(context.run(), int);
    EXPECT_EQ(calls, 1);
    context.run();
    EXPECT_EQ(calls, 3);
}

TEST(SUITE, timers_outlive_a_move_and_not_an_assignment)
{
    io_context context;
    adapter::timers first(context);
    adapter::timers second(context.get_executor());
    bool called = false;
    const auto kept = first.queue().after(1ms, [&] {
        called = true;
        second = adapter::timers(context); // ends itself
        context.stop();
    });
    const auto ended = second.queue().after(0s, [] { ADD_FAILURE() << "called"; });
    second = std::move(first);
    EXPECT_FALSE(ended.active());
    EXPECT_TRUE(kept.active());
    EXPECT_EQ(second.get_executor(), context.get_executor());
    context.run();
    EXPECT_TRUE(called);
}

TEST(SUITE, without_timers_the_context_has_nothing_to_do)
{
    io_context context;
    std::optional<adapter::timers> timers(std::in_place, context);
    const auto last = timers->queue().after(1ms, [&] { timers.reset(); });
    context.run(); // the case has a time limit
    EXPECT_FALSE(timers);
}

// As sessions do that what they wait for keeps alive: they go while the context ends.
TEST(SUITE, timers_that_a_pending_handler_holds_end_with_the_context)
{
    struct session {
        explicit session(io_context& context)
            : timers(context)
            , other(context)
        {}
        adapter::timers timers;
        timer other;
    };
    for (const bool began : {false, true}) {
        tocsin::callback_timer own([] { ADD_FAILURE() << "called"; });
        {
            io_context context;
            const auto made = std::make_shared<session>(context);
            made->timers.queue().schedule(own, 1000s);
            made->other.async_wait([made](error_code, std::uint64_t) { ADD_FAILURE() << "called"; });
            library::post(context, [made] {});
            if (began)
                context.poll();
        }
        EXPECT_FALSE(own.scheduled());
    }
}

TEST(SUITE, timers_on_a_strand_of_a_context_with_several_threads)
{
    constexpr int number = 2000;
    io_context context;
    const auto strand = library::make_strand(context);
    std::optional<adapter::timers> timers(std::in_place, strand);
    std::vector<tocsin::scheduled> held;
    int calls = 0; // no mutex: what is tested
    std::vector<std::unique_ptr<scenarios::joined_thread>> threads;
    library::post(strand, [&] {
        for (int n = 0; n < number; ++n) {
            held.push_back(timers->queue().after(n * 10us, [&] {
                EXPECT_TRUE(strand.running_in_this_thread());
                if (++calls == number)
                    timers.reset();
            }));
        }
    });
    for (int n = 0; n < 3; ++n)
        threads.push_back(std::make_unique<scenarios::joined_thread>([&] { context.run(); }));
    threads.clear();
    EXPECT_EQ(calls, number);
}

TEST(SUITE, what_a_handler_of_the_main_thread_throws_does_not_end_the_wait)
{
    io_context context;
    signals listening(context, {SIGUSR1});
    answer<event> got;
    tocsin::signal(SIGUSR2, [] { throw std::runtime_error("main's"); });
    listening.async_wait(got.handler());
    ::raise(SIGUSR1);
    ::raise(SIGUSR2);
    EXPECT_EQ(support::message_of<std::runtime_error>([&] { context.run(); }), "main's");
    EXPECT_EQ(got.calls, 0);
    context.run();
    EXPECT_TRUE(got.good());
}

TEST(SUITE, a_handler_of_the_main_thread_may_cancel_or_destroy)
{
    for (const bool destroy : {false, true}) {
        for (const bool throws : {false, true}) {
            scenarios::install_foreign(SIGUSR1);
            io_context context;
            std::optional<signals> listening(std::in_place, context, tocsin::signal_set{SIGUSR1});
            answer<event> got;
            tocsin::signal(SIGUSR2, [&] {
                if (destroy)
                    listening.reset();
                else
                    listening->cancel();
                if (throws)
                    throw std::runtime_error("main's");
            });
            listening->async_wait(got.handler());
            ::raise(SIGUSR1);
            ::raise(SIGUSR2);
            if (throws)
                EXPECT_EQ(support::message_of<std::runtime_error>([&] { context.run(); }), "main's");
            else
                context.run();
            EXPECT_TRUE(got.aborted());
            listening.reset();
            EXPECT_EQ(scenarios::foreign_calls, 1);
        }
    }
}

// --- Completion tokens

TEST(SUITE, futures)
{
    io_context context;
    signals listening(context, {SIGUSR1});
    timer ticking(context);
    ticking.fd().settime_ns(1ms);
    std::future<event> got = listening.async_wait(library::use_future);
    std::future<std::uint64_t> expired = ticking.async_wait(library::use_future);
    const scenarios::joined_thread runner([&] { context.run(); });
    EXPECT_EQ(expired.get(), 1U);
    ASSERT_EQ(::sigqueue(::getpid(), SIGUSR1, sigval{5}), 0);
    const event e = got.get();
    EXPECT_EQ(e.signo, SIGUSR1);
    EXPECT_EQ(e.info.value()->sival_int, 5);
}

TEST(SUITE, a_future_that_is_cancelled)
{
    library::thread_pool pool(1);
    signals listening(pool, {SIGUSR1});
    std::future<event> got = listening.async_wait(library::use_future);
    listening.cancel();
    try {
        got.get();
        ADD_FAILURE() << "an event";
    } catch (const system_error& error) {
        EXPECT_EQ(error.code().value(), ECANCELED);
    }
    pool.join();
}

#ifdef TEST_COROUTINES
TEST(SUITE, coroutines)
{
    io_context context;
    std::vector<int> got;
    library::co_spawn(
        context,
        [&]() -> library::awaitable<void> {
            const auto executor = co_await library::this_coro::executor;
            signals listening(executor, {SIGUSR1, SIGUSR2});
            timer ticking(executor);
            ::raise(SIGUSR2);
            ::raise(SIGUSR1);
            for (int n = 0; n < 2; ++n) {
                const event e = co_await listening.async_wait(library::use_awaitable);
                got.push_back(e.signo);
            }
            ticking.fd().settime_ns(1ms);
            got.push_back(static_cast<int>(co_await ticking.async_wait(library::use_awaitable)));
        },
        [](const std::exception_ptr& error) { EXPECT_EQ(error, nullptr); });
    context.run();
    EXPECT_EQ(got, (std::vector<int>{SIGUSR1, SIGUSR2, 1}));
}

TEST(SUITE, a_default_token)
{
    io_context context;
    using token = library::use_awaitable_t<>;
    using listener = token::as_default_on_t<signals>;
    int got = 0;
    library::co_spawn(
        context,
        [&]() -> library::awaitable<void> {
            const auto executor = co_await library::this_coro::executor;
            listener listening(executor, {SIGUSR1});
            ::raise(SIGUSR1);
            got = (co_await listening.async_wait()).signo;
        },
        library::detached);
    context.run();
    EXPECT_EQ(got, SIGUSR1);
}

TEST(SUITE, a_coroutine_is_told_of_its_cancellation)
{
    io_context context;
    signals listening(context, {SIGUSR1});
    error_code got;
    library::co_spawn(
        context,
        [&]() -> library::awaitable<void> {
            const event e = co_await listening.async_wait(library::redirect_error(library::use_awaitable, got));
            EXPECT_EQ(e.signo, 0);
        },
        library::detached);
    library::post(context, [&] { listening.cancel(); });
    context.run();
    EXPECT_EQ(got, library::error::operation_aborted);
}

TEST(SUITE, a_context_that_ends_takes_its_coroutines_along)
{
    scenarios::install_foreign(SIGUSR1);
    auto context = std::make_unique<io_context>();
    library::co_spawn(
        *context,
        []() -> library::awaitable<void> {
            const auto executor = co_await library::this_coro::executor;
            signals listening(executor, {SIGUSR1});
            co_await listening.async_wait(library::use_awaitable);
            ADD_FAILURE() << "an event";
        },
        library::detached);
    context->poll();
    ::raise(SIGUSR1);
    context.reset();
    EXPECT_EQ(scenarios::foreign_calls, 1);
    EXPECT_TRUE(scenarios::is_foreign(SIGUSR1));
}
#endif

#ifdef TEST_AWAITABLE_OPERATORS
TEST(SUITE, a_signal_or_a_time_limit)
{
    using namespace library::experimental::awaitable_operators;
    io_context context;
    bool done = false;
    library::co_spawn(
        context,
        [&]() -> library::awaitable<void> {
            const auto executor = co_await library::this_coro::executor;
            signals listening(executor, {SIGUSR1});
            timer limit(executor);
            limit.fd().settime_ns(1ms);
            const auto late =
                co_await (listening.async_wait(library::use_awaitable) || limit.async_wait(library::use_awaitable));
            EXPECT_EQ(late.index(), 1U);
            ::raise(SIGUSR1); // the wait that was cancelled has taken nothing
            limit.fd().settime_ns(1h);
            const auto in_time =
                co_await (listening.async_wait(library::use_awaitable) || limit.async_wait(library::use_awaitable));
            EXPECT_EQ(in_time.index(), 0U);
            EXPECT_EQ(std::get<0>(in_time).count, 1U);
            done = true;
        },
        library::detached);
    context.run();
    EXPECT_TRUE(done);
}
#endif

// --- fork(), as Asio has it

TEST(SUITE, fork_with_notifications)
{
    io_context context;
    signals listening(context, {SIGUSR1});
    answer<event> got;
    listening.async_wait(got.handler());
    context.poll();
    context.notify_fork(io_context::fork_prepare);
    const int status = support::in_child([&] {
        ::raise(SIGUSR1);
        context.notify_fork(io_context::fork_child);
        context.run();
        return got.good() && got.value.info.pid() == ::getpid() ? 0 : 1;
    });
    context.notify_fork(io_context::fork_parent);
    EXPECT_TRUE(support::exited_with(status, 0)) << status;
    context.poll();
    EXPECT_EQ(got.calls, 0);
    ::raise(SIGUSR1);
    context.run();
    EXPECT_TRUE(got.good());
    EXPECT_EQ(got.value.info.pid(), ::getpid());
}

TEST(SUITE, a_child_that_only_ends_takes_nothing_from_the_parent)
{
    io_context context;
    std::optional<signals> listening(std::in_place, context, tocsin::signal_set{SIGUSR1});
    answer<event> got;
    listening->async_wait(got.handler());
    context.poll();
    const int status = support::in_child([&] {
        listening.reset();
        return 0;
    });
    EXPECT_TRUE(support::exited_with(status, 0)) << status;
    ::raise(SIGUSR1);
    EXPECT_EQ(context.run_one_for(20s), 1U);
    EXPECT_TRUE(got.good());
}

} // namespace
