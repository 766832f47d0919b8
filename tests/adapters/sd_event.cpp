#include <tocsin/adapters/sd_event.hpp>

#include <cerrno>
#include <functional>
#include <memory>
#include <map>

#include "scenarios.hpp"

namespace {

class sd_event_loop {
public:
    using adapters = std::map<const void*, std::function<void(::sd_event*)>>;

    sd_event_loop() { EXPECT_EQ(::sd_event_new(&loop_), 0); }
    sd_event_loop(const sd_event_loop&) = delete;
    sd_event_loop& operator=(const sd_event_loop&) = delete;
    ~sd_event_loop() { ::sd_event_unref(loop_); }

    [[nodiscard]] ::sd_event* native_handle() const { return loop_; }
    void run_once() { EXPECT_GE(::sd_event_run(loop_, 20'000), 0); }
    void after_fork()
    {
        EXPECT_EQ(::sd_event_run(loop_, 0), -ECHILD);
        ::sd_event* own = nullptr;
        EXPECT_EQ(::sd_event_new(&own), 0);
        for (const auto& [adapter, attach] : *attached_)
            attach(own);
        ::sd_event_unref(loop_);
        loop_ = own;
    }
    /// Those that the child attaches to its own loop. May outlive this.
    [[nodiscard]] std::shared_ptr<adapters> attached() const { return attached_; }

private:
    ::sd_event* loop_ = nullptr;
    std::shared_ptr<adapters> attached_ = std::make_shared<adapters>();
};

// What the child attaches to its loop.
template <class Adapter>
class attached {
public:
    attached(const sd_event_loop& where, Adapter& adapter)
        : adapter_(&adapter)
        , all_(where.attached())
    {
        (*all_)[adapter_] = [&adapter](::sd_event* loop) { adapter.attach(loop); };
    }
    attached(const attached&) = delete;
    attached& operator=(const attached&) = delete;
    ~attached() { all_->erase(adapter_); }

private:
    const void* adapter_;
    std::shared_ptr<sd_event_loop::adapters> all_;
};

struct driver : scenarios::callback_driver<sd_event_loop, tocsin::sd_event::signals, tocsin::sd_event::timer,
                                           tocsin::sd_event::timers, true> {
    class listener : public callback_driver::listener {
    public:
        listener(sd_event_loop& where, const tocsin::signal_set& set, scenarios::callback function,
                 tocsin::subscription_options options = {}, tocsin::error_handler on_error = {})
            : callback_driver::listener(where, set, std::move(function), options, std::move(on_error))
            , attached_(where, adapter())
        {}

    private:
        attached<tocsin::sd_event::signals> attached_;
    };
    class timers : public callback_driver::timers {
    public:
        explicit timers(sd_event_loop& where, tocsin::error_handler on_error = {})
            : callback_driver::timers(where, std::move(on_error))
            , attached_(where, *this)
        {}

    private:
        attached<tocsin::sd_event::timers> attached_;
    };
};
CALLBACK_SCENARIOS(sd_event, driver)

TEST(sd_event, what_is_pending_goes_along_to_another_loop)
{
    sd_event_loop first;
    sd_event_loop second;
    tocsin::sd_event::signals adapter(first.native_handle());
    int calls = 0;
    const auto held = adapter.on(SIGUSR1, [&] { ++calls; });
    ::raise(SIGUSR1);
    adapter.attach(second.native_handle());
    first.run_once();
    EXPECT_EQ(calls, 0);
    second.run_once();
    EXPECT_EQ(calls, 1);
}

TEST(sd_event, a_loop_that_refuses_changes_nothing)
{
    sd_event_loop loop;
    sd_event_loop finished;
    EXPECT_EQ(::sd_event_exit(finished.native_handle(), 0), 0);
    EXPECT_EQ(::sd_event_loop(finished.native_handle()), 0);
    tocsin::sd_event::signals adapter(loop.native_handle());
    int calls = 0;
    const auto held = adapter.on(SIGUSR1, [&] { ++calls; });
    EXPECT_EQ(support::errno_of([&] { adapter.attach(finished.native_handle()); }), ESTALE);
    EXPECT_EQ(support::errno_of([&] { tocsin::sd_event::timer(finished.native_handle(), [](std::uint64_t) {}); }),
              ESTALE);
    ::raise(SIGUSR1);
    loop.run_once();
    EXPECT_EQ(calls, 1);
}

TEST(sd_event, sources_have_the_priority_they_are_given)
{
    sd_event_loop loop;
    std::vector<int> order;
    tocsin::sd_event::signals late(loop.native_handle());
    tocsin::sd_event::signals early(loop.native_handle());
    const auto first = late.on(SIGUSR1, [&] { order.push_back(2); });
    const auto second = early.on(SIGUSR1, [&] { order.push_back(1); });
    EXPECT_EQ(::sd_event_source_set_priority(late.native_handle(), SD_EVENT_PRIORITY_IDLE), 0);
    EXPECT_EQ(::sd_event_source_set_priority(early.native_handle(), SD_EVENT_PRIORITY_IMPORTANT), 0);
    ::raise(SIGUSR1);
    EXPECT_TRUE(scenarios::run_until(loop, [&] { return order.size() == 2; }));
    EXPECT_EQ(order, (std::vector{1, 2}));
}

// sd-event's own source takes what is blocked; ours needs nothing blocked. Each signal belongs to one of them.
TEST(sd_event, works_beside_sd_events_own_signals)
{
    sd_event_loop loop;
    int own = 0;
    int calls = 0;
    ASSERT_GE(::sd_event_add_signal(
                  loop.native_handle(), nullptr, SIGUSR2 | SD_EVENT_SIGNAL_PROCMASK,
                  [](sd_event_source*, const signalfd_siginfo*, void* count) {
                      ++*static_cast<int*>(count);
                      return 0;
                  },
                  &own),
              0);
    tocsin::sd_event::signals adapter(loop.native_handle());
    const auto held = adapter.on(SIGUSR1, [&] { ++calls; });
    ::raise(SIGUSR1);
    ::raise(SIGUSR2);
    EXPECT_TRUE(scenarios::run_until(loop, [&] { return own == 1 && calls == 1; }));
}

} // namespace
