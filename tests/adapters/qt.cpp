#include <tocsin/adapters/qt.hpp>

#include <QCoreApplication>
#include <QEventLoop>
#include <QMetaMethod>
#include <QThread>
#include <QTimer>

#include "scenarios.hpp"

namespace {

using namespace std::chrono_literals;
using tocsin::qt::signal_notifier;

class with_application : public testing::Environment {
    void SetUp() override { application_ = std::make_unique<QCoreApplication>(count_, arguments_.data()); }
    void TearDown() override { application_.reset(); }

    int count_ = 1;
    std::string name_ = "tocsin_adapter_qt";
    std::array<char*, 2> arguments_{name_.data(), nullptr};
    std::unique_ptr<QCoreApplication> application_;
};
// Debian's Qt is not compiled for it: what QThread does looks like a race.
#define SKIP_UNDER_THREAD_SANITIZER()                                                                                  \
    if (support::thread_sanitizer)                                                                                     \
    GTEST_SKIP() << "does not know Qt's locks"

const testing::Environment* const environment = testing::AddGlobalTestEnvironment(new with_application);

class qt_loop {
public:
    qt_loop() { heartbeat_.start(20); }
    void run_once() { loop_.processEvents(QEventLoop::WaitForMoreEvents); }
    void after_fork() {}

private:
    QEventLoop loop_; // makes the dispatcher of a thread that is not Qt's
    QTimer heartbeat_;
};

struct driver {
    using loop = qt_loop;

    class listener {
    public:
        listener(qt_loop&, const tocsin::signal_set& set, scenarios::callback function,
                 tocsin::subscription_options options = {})
            : notifier_(set, options)
        {
            QObject::connect(&notifier_, &signal_notifier::received, std::move(function));
        }
        void cancel() { notifier_.cancel(); }

    private:
        signal_notifier notifier_;
    };

    class ticker {
    public:
        ticker(qt_loop&, tocsin::timer_callback function)
        {
            QObject::connect(&timer_, &tocsin::qt::timer::expired, std::move(function));
        }
        [[nodiscard]] tocsin::timer_fd& fd() noexcept { return timer_.fd(); }

    private:
        tocsin::qt::timer timer_;
    };

    class timers {
    public:
        explicit timers(qt_loop&) {}
        [[nodiscard]] tocsin::timer_queue& queue() noexcept { return timers_.queue(); }

    private:
        tocsin::qt::timers timers_;
    };

    static constexpr bool loop_may_go_first = true;
    static constexpr bool cancels_from_other_threads = true;
};
SCENARIOS(qt, driver)

TEST(qt, a_signal_ends_the_application)
{
    signal_notifier stop({SIGINT, SIGTERM});
    QObject::connect(&stop, &signal_notifier::received, qApp, &QCoreApplication::quit);
    tocsin::qt::timer ticks;
    QObject::connect(&ticks, &tocsin::qt::timer::expired, [] { ::raise(SIGTERM); });
    ticks.fd().settime_ns(std::chrono::milliseconds(1));
    EXPECT_EQ(QCoreApplication::exec(), 0);
}

TEST(qt, slots_in_another_thread_get_a_copy)
{
    SKIP_UNDER_THREAD_SANITIZER();
    constexpr int times = 100;
    QThread thread;
    QObject receiver;
    receiver.moveToThread(&thread);
    std::vector<int> values;
    std::atomic<int> received{0};
    signal_notifier notifier({SIGRTMIN}, scenarios::with(tocsin::delivery::queue));
    QObject::connect(&notifier, &signal_notifier::received, &receiver, [&](const tocsin::event& e) {
        EXPECT_EQ(QThread::currentThread(), &thread);
        EXPECT_EQ(e.info.pid(), ::getpid());
        values.push_back(e.info.value()->sival_int);
        ++received;
    });
    thread.start();
    for (int n = 0; n < times; ++n)
        ASSERT_EQ(::sigqueue(::getpid(), SIGRTMIN, sigval{n}), 0);
    qt_loop loop;
    EXPECT_TRUE(scenarios::run_until(loop, [&] { return received == times; }));
    thread.quit();
    thread.wait();
    for (std::size_t n = 0; n < values.size(); ++n)
        EXPECT_EQ(values[n], static_cast<int>(n));
}

TEST(qt, what_is_pending_may_be_emitted_at_the_end)
{
    int calls = 0;
    {
        signal_notifier notifier({SIGUSR1}, {.pending = tocsin::at_cancel::run});
        QObject::connect(&notifier, &signal_notifier::received, [&] { ++calls; });
        ::raise(SIGUSR1);
    }
    EXPECT_EQ(calls, 1);
}

TEST(qt, goes_to_another_thread)
{
    SKIP_UNDER_THREAD_SANITIZER();
    QThread thread;
    auto* const notifier = new signal_notifier({SIGUSR1});
    std::atomic<int> received{0};
    QObject::connect(notifier, &signal_notifier::received, notifier, [&] {
        EXPECT_EQ(QThread::currentThread(), &thread);
        ++received;
    });
    QObject::connect(&thread, &QThread::finished, notifier, &QObject::deleteLater);
    notifier->moveToThread(&thread);
    ::raise(SIGUSR1);
    EXPECT_EQ(received, 0);
    thread.start();
    EXPECT_TRUE(support::eventually([&] { return received == 1; }));
    ::raise(SIGUSR1);
    EXPECT_TRUE(support::eventually([&] { return received == 2; }));
    thread.quit();
    thread.wait();
}

// As a dialogue does that a slot opens.
TEST(qt, an_event_loop_in_a_slot_receives_signals)
{
    qt_loop loop;
    signal_notifier notifier({SIGUSR1, SIGUSR2});
    int depth = 0;
    int deepest = 0;
    int received = 0;
    QObject::connect(&notifier, &signal_notifier::received, [&](const tocsin::event& e) {
        ++received;
        deepest = std::max(deepest, ++depth);
        if (e.signo == SIGUSR1) {
            ::raise(SIGUSR2);
            QEventLoop inner;
            QTimer::singleShot(std::chrono::seconds(20), &inner, &QEventLoop::quit);
            QObject::connect(&notifier, &signal_notifier::received, &inner, &QEventLoop::quit);
            inner.exec();
            EXPECT_EQ(received, 2);
        }
        --depth;
    });
    ::raise(SIGUSR1);
    EXPECT_TRUE(scenarios::run_until(loop, [&] { return received == 2; }));
    EXPECT_EQ(deepest, 2);
}

TEST(qt, listens_to_more_and_cancels_all)
{
    scenarios::install_foreign(SIGUSR2);
    qt_loop loop;
    tocsin::signal_set received;
    signal_notifier notifier;
    QObject::connect(&notifier, &signal_notifier::received, [&](const tocsin::event& e) { received.insert(e.signo); });
    notifier.listen(SIGUSR1);
    notifier.listen({SIGUSR2, SIGHUP});
    for (const int sig : {SIGUSR1, SIGUSR2, SIGHUP})
        ::raise(sig);
    EXPECT_TRUE(scenarios::run_until(loop, [&] { return received == tocsin::signal_set{SIGUSR1, SIGUSR2, SIGHUP}; }));
    notifier.cancel();
    EXPECT_TRUE(scenarios::is_foreign(SIGUSR2));
    notifier.listen(SIGUSR1);
    received = {};
    ::raise(SIGUSR1);
    EXPECT_TRUE(scenarios::run_until(loop, [&] { return received == tocsin::signal_set{SIGUSR1}; }));
}

TEST(qt, what_a_callback_throws_reaches_on_error)
{
    qt_loop loop;
    signal_notifier notifier;
    std::vector<std::string> messages;
    notifier.on_error([&](const std::exception_ptr& error) {
        messages.push_back(support::message_of<std::runtime_error>([&] { std::rethrow_exception(error); }));
    });
    const auto held = notifier.inbox().on(
        {SIGUSR1, SIGUSR2}, [](tocsin::signum sig) { throw std::runtime_error(std::string(sig.name())); });
    ::raise(SIGUSR1);
    ::raise(SIGUSR2);
    EXPECT_TRUE(scenarios::run_until(loop, [&] { return messages.size() == 2; }));
    EXPECT_EQ(messages, (std::vector<std::string>{"SIGUSR1", "SIGUSR2"}));
}

TEST(qt, timers_go_on_in_an_event_loop_that_a_callback_runs)
{
    qt_loop loop;
    tocsin::qt::timers timers;
    tocsin::timer_queue& queue = timers.queue();
    int calls = 0;
    bool finished = false;
    const auto outer = queue.after(0s, [&] {
        const auto inner = queue.after(1ms, [&] { ++calls; });
        EXPECT_TRUE(scenarios::run_until(loop, [&] { return calls == 1; }));
        const auto later = queue.after(1000s, [] {});
        EXPECT_LT(scenarios::rounds_in_200_ms(loop), 100);
        finished = true;
    });
    EXPECT_TRUE(scenarios::run_until(loop, [&] { return finished; }));
}

TEST(qt, what_a_timers_callback_throws_reaches_on_error)
{
    qt_loop loop;
    tocsin::qt::timers timers(CLOCK_BOOTTIME);
    std::vector<std::string> messages;
    timers.on_error([&](const std::exception_ptr& error) {
        messages.push_back(support::message_of<std::runtime_error>([&] { std::rethrow_exception(error); }));
    });
    timers.queue().after(0s, [] { throw std::runtime_error("first"); }).detach();
    timers.queue().after(0s, [] { throw std::runtime_error("second"); }).detach();
    EXPECT_TRUE(scenarios::run_until(loop, [&] { return messages.size() == 2; }));
    EXPECT_EQ(messages, (std::vector<std::string>{"first", "second"}));
}

TEST(qt, timers_go_to_another_thread_with_their_object)
{
    SKIP_UNDER_THREAD_SANITIZER();
    QThread thread;
    tocsin::qt::timers timers;
    std::atomic<bool> ran{false};
    const auto held = timers.queue().after(1ms, [&] {
        EXPECT_EQ(QThread::currentThread(), &thread);
        ran = true;
    });
    timers.moveToThread(&thread);
    thread.start();
    EXPECT_TRUE(support::eventually([&] { return ran.load(); }));
    thread.quit();
    thread.wait();
}

TEST(qt, outlives_the_application)
{
    const int status = support::in_child([] {
        scenarios::install_foreign(SIGUSR1);
        auto notifier = std::make_unique<signal_notifier>(tocsin::signal_set{SIGUSR1});
        tocsin::qt::timer ticks;
        ticks.fd().settime_ns(std::chrono::nanoseconds(1));
        ::raise(SIGUSR1);
        delete qApp;
        notifier.reset();
        return scenarios::foreign_calls == 1 ? 0 : 1;
    });
    EXPECT_TRUE(support::exited_with(status, 0)) << status;
}

TEST(qt, events_are_known_to_the_meta_object_system)
{
    const QMetaObject& meta = signal_notifier::staticMetaObject;
    EXPECT_EQ(QByteArray(meta.className()), "tocsin::qt::signal_notifier");
    const int received = meta.indexOfSignal("received(tocsin::event)");
    ASSERT_NE(received, -1);
    EXPECT_EQ(meta.method(received).parameterMetaType(0), QMetaType::fromType<tocsin::event>());
}

} // namespace
