// alarm, setitimer, getitimer.

#include <tocsin/tocsin.hpp>

#include <cmath>
#include <limits>
#include <sstream>
#include <thread>

#include "storm.hpp"

using support::message_of;
using tocsin::itimer;
using namespace std::chrono_literals;
using std::chrono::steady_clock;
using double_seconds = std::chrono::duration<double>;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

struct timer_name {
    itimer which;
    int macro;
    int sig;
};
constexpr timer_name timers[] = {{itimer::real, ITIMER_REAL, SIGALRM},
                                 {itimer::virtual_, ITIMER_VIRTUAL, SIGVTALRM},
                                 {itimer::prof, ITIMER_PROF, SIGPROF}};

void disarm_all()
{
    for (const auto& timer : timers)
        tocsin::setitimer(timer.which, 0);
}

// The error of refused calls: what kind, which errno, and that it names the value.
void expect_itimer_error(const std::function<void()>& call, const std::string& part)
{
    try {
        call();
        ADD_FAILURE() << "threw nothing: " << part;
    } catch (const tocsin::itimer_error& e) {
        EXPECT_EQ(e.code(), std::error_code(EINVAL, std::generic_category()));
        EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
    }
}

// All that can go wrong with a time, for a call that takes one.
void expect_times_refused(const std::function<void(tocsin::seconds)>& call)
{
    for (const double time : {-1.0, -1e-6, -1e-9, -1e-12})
        expect_itimer_error([&] { call(time); }, "negative");
    expect_itimer_error([&] { call(-2.5); }, "-2.5");
    EXPECT_NE(message_of<std::invalid_argument>([&] { call(std::nan("")); }).find("NaN"), std::string::npos);
    for (const double time : {infinity, -infinity, 1e300, 1e11})
        EXPECT_THROW(call(time), std::overflow_error) << time;
    EXPECT_NE(message_of<std::overflow_error>([&] { call(1e300); }).find("1e+300"), std::string::npos);
    EXPECT_THROW(call(std::chrono::hours::max()), std::overflow_error);
}

TEST(setitimer, returns_the_previous_setting_of_all_three)
{
    for (const auto& timer : timers) {
        disarm_all();
        EXPECT_EQ(tocsin::setitimer(timer.which, 1000, 0.5), tocsin::itimer_value{});
        const auto now = tocsin::getitimer(timer.which);
        EXPECT_GT(now.delay, 900s);
        EXPECT_LE(now.delay, 1000.1s);
        EXPECT_EQ(now.interval, double_seconds(0.5));
        EXPECT_EQ(tocsin::getitimer(timer.macro).interval, double_seconds(0.5));
        const auto old = tocsin::setitimer(timer.macro, 2000s, 250ms);
        EXPECT_GT(old.delay, 900s);
        EXPECT_EQ(old.interval, 500ms);
        EXPECT_EQ(tocsin::setitimer(timer.which, 0).interval, 250ms);
        EXPECT_EQ(tocsin::getitimer(timer.which), tocsin::itimer_value{});
    }
}

TEST(setitimer, each_of_the_three_delivers_its_own_signal)
{
    for (const auto& timer : timers) {
        int calls = 0;
        tocsin::signal(timer.sig, [&](const tocsin::event& e) {
            ++calls;
            EXPECT_EQ(e.signo, timer.sig);
            EXPECT_EQ(e.info.origin(), tocsin::origin::kernel);
        });
        tocsin::setitimer(timer.which, 1ms, 1ms);
        EXPECT_TRUE(support::eventually([&] {
            // User time, for the timer that counts it, and more than from one of the kernel's ticks to the next: it is counted
            // by them, and beside a busy process a thread that often yields never has the processor when one comes.
            support::spin_until(steady_clock::now() + 10ms);
            tocsin::check_signals();
            return calls >= 3;
        })) << timer.which;
        disarm_all();
    }
}

TEST(setitimer, a_single_shot_fires_once_and_not_early)
{
    int calls = 0;
    const auto start = steady_clock::now();
    auto fired = start;
    tocsin::signal(SIGALRM, [&] {
        ++calls;
        fired = steady_clock::now();
    });
    tocsin::setitimer(itimer::real, 20ms);
    EXPECT_TRUE(support::eventually([&] {
        tocsin::check_signals();
        return calls > 0;
    }));
    EXPECT_GE(fired - start, 20ms);
    EXPECT_EQ(tocsin::getitimer(itimer::real), tocsin::itimer_value{});
    tocsin::blocking::sleep_for(50ms);
    EXPECT_EQ(calls, 1);
}

TEST(setitimer, a_zero_delay_disarms_whatever_the_interval)
{
    tocsin::setitimer(itimer::real, 1000, 1000);
    tocsin::setitimer(itimer::real, 0, 5);
    EXPECT_EQ(tocsin::getitimer(itimer::real).delay, 0s);
}

TEST(setitimer, works_on_another_thread)
{
    std::thread([] { tocsin::setitimer(itimer::real, 1000); }).join();
    EXPECT_GT(tocsin::getitimer(itimer::real).delay, 900s);
    disarm_all();
}

TEST(setitimer, a_forked_child_starts_without_timers)
{
    tocsin::setitimer(itimer::real, 1000);
    const auto status = support::in_child([] { return tocsin::getitimer(itimer::real).delay == 0s ? 0 : 1; });
    EXPECT_TRUE(support::exited_with(status, 0));
    EXPECT_GT(tocsin::getitimer(itimer::real).delay, 900s);
    disarm_all();
}

TEST(setitimer, an_unknown_timer_is_refused_by_value)
{
    for (const int which : {-1, 3, 9, 1 << 30}) {
        expect_itimer_error([&] { tocsin::setitimer(which, 1); }, std::to_string(which));
        expect_itimer_error([&] { tocsin::setitimer(static_cast<itimer>(which), 1); }, std::to_string(which));
        expect_itimer_error([&] { (void)tocsin::getitimer(which); }, std::to_string(which));
        expect_itimer_error([&] { (void)tocsin::getitimer(static_cast<itimer>(which)); }, std::to_string(which));
    }
    EXPECT_THROW((void)tocsin::getitimer(-1), std::system_error); // an itimer_error is one
}

TEST(G13, a_time_above_zero_always_arms)
{
    int calls = 0;
    tocsin::signal(SIGALRM, [&] { ++calls; });
    for (const tocsin::seconds time :
         {tocsin::seconds(1e-10), tocsin::seconds(1e-300), tocsin::seconds(5e-324), tocsin::seconds(1ns),
          tocsin::seconds(std::chrono::duration<int, std::pico>(1)), tocsin::seconds(1e-6), tocsin::seconds(999ns)}) {
        calls = 0;
        tocsin::setitimer(itimer::real, time);
        EXPECT_TRUE(support::eventually([&] {
            tocsin::check_signals();
            return calls == 1;
        })) << time.given();
    }
    calls = 0;
    tocsin::alarm(1ns);
    EXPECT_TRUE(support::eventually([&] {
        tocsin::check_signals();
        return calls == 1;
    }));
}

TEST(G13, a_tiny_interval_is_not_dropped)
{
    // Not run: a signal every microsecond leaves a process no time for anything else.
    tocsin::setitimer(itimer::real, 1000, 1e-10);
    EXPECT_EQ(tocsin::setitimer(itimer::real, 0).interval, 1us);
}

TEST(G13, rounding_up_carries_into_the_seconds)
{
    tocsin::setitimer(itimer::real, 999'999'999'999ns, 999'999'999ns);
    EXPECT_EQ(tocsin::getitimer(itimer::real).interval, 1s);
    tocsin::setitimer(itimer::real, 1000, 0.9999999);
    EXPECT_EQ(tocsin::setitimer(itimer::real, 1000, 3'000'000'001ns).interval, 1s);
    EXPECT_EQ(tocsin::setitimer(itimer::real, 0).interval, 3s + 1us);
}

TEST(G13, a_refused_time_leaves_the_running_timer_alone)
{
    for (const auto& timer : timers) {
        disarm_all();
        tocsin::setitimer(timer.which, 1000, 7);
        expect_times_refused([&](tocsin::seconds time) { tocsin::setitimer(timer.which, time); });
        expect_times_refused([&](tocsin::seconds time) { tocsin::setitimer(timer.which, 1, time); });
        expect_times_refused([&](tocsin::seconds time) { tocsin::setitimer(timer.macro, time, 1); });
        expect_itimer_error([] { tocsin::setitimer(9, 1); }, "9");
        const auto now = tocsin::getitimer(timer.which);
        EXPECT_GT(now.delay, 900s) << timer.which;
        EXPECT_EQ(now.interval, 7s) << timer.which;
    }
    disarm_all();
}

TEST(G13, a_refused_alarm_leaves_the_running_one_alone)
{
    tocsin::alarm(1000U);
    EXPECT_THROW(tocsin::alarm(-1), std::invalid_argument);
    EXPECT_THROW(tocsin::alarm(4'294'967'296LL), std::overflow_error);
    expect_itimer_error([] { tocsin::alarm(-1ms); }, "negative");
    expect_itimer_error([] { tocsin::alarm(std::chrono::duration<double>(-1e-12)); }, "negative");
    EXPECT_THROW(tocsin::alarm(std::chrono::duration<double>(std::nan(""))), std::invalid_argument);
    EXPECT_THROW(tocsin::alarm(std::chrono::duration<double>(infinity)), std::overflow_error);
    EXPECT_THROW(tocsin::alarm(std::chrono::hours::max()), std::overflow_error);
    EXPECT_GT(tocsin::alarm(0), 900U);
}

TEST(alarm, takes_every_integer_and_returns_what_was_left)
{
    EXPECT_EQ(tocsin::alarm(1000), 0U);
    for (const unsigned left :
         {tocsin::alarm(1000U), tocsin::alarm(1000L), tocsin::alarm(short{1000}), tocsin::alarm(1000ULL)}) {
        EXPECT_GT(left, 900U);
        EXPECT_LE(left, 1000U);
    }
    EXPECT_GT(tocsin::alarm(0), 900U);
    EXPECT_EQ(tocsin::alarm(0), 0U);
}

TEST(alarm, takes_the_largest_unsigned)
{
    tocsin::alarm(std::numeric_limits<unsigned>::max());
    EXPECT_GT(tocsin::alarm(0), std::numeric_limits<unsigned>::max() - 100);
}

TEST(alarm, refuses_what_does_not_fit_by_value)
{
    const auto negative = message_of<std::invalid_argument>([] { tocsin::alarm(-7); });
    EXPECT_NE(negative.find("-7"), std::string::npos) << negative;
    const auto large = message_of<std::overflow_error>([] { tocsin::alarm(4'294'967'296LL); });
    EXPECT_NE(large.find("4294967296"), std::string::npos) << large;
    EXPECT_THROW(tocsin::alarm(std::numeric_limits<std::uint64_t>::max()), std::overflow_error);
    EXPECT_THROW(tocsin::alarm(std::numeric_limits<std::int64_t>::min()), std::invalid_argument);
    EXPECT_EQ(tocsin::alarm(0), 0U);
}

TEST(alarm, shares_its_timer_with_the_real_interval_timer)
{
    tocsin::setitimer(itimer::real, 1000, 10);
    EXPECT_GT(tocsin::alarm(2000), 900U);
    EXPECT_EQ(tocsin::getitimer(itimer::real).interval, 0s);
    EXPECT_GT(tocsin::setitimer(itimer::real, 0).delay, 1900s);
}

TEST(alarm, with_a_duration_keeps_the_fraction)
{
    EXPECT_EQ(tocsin::alarm(1000s + 500ms), 0ns);
    const auto left = tocsin::alarm(2000s); // no handler yet
    EXPECT_GT(left, 900s);
    EXPECT_LE(left, 1000500ms + 1us);
    int calls = 0;
    const auto start = steady_clock::now();
    tocsin::signal(SIGALRM, [&] { ++calls; });
    tocsin::alarm(20ms);
    while (calls == 0)
        tocsin::pause();
    EXPECT_GE(support::elapsed_since(start), 20ms);
    tocsin::alarm(std::chrono::duration<double>(1000.25));
    EXPECT_GT(tocsin::alarm(0ms), 900s);
}

TEST(itimer, prints_readably)
{
    std::ostringstream out;
    out << itimer::real << ' ' << itimer::virtual_ << ' ' << itimer::prof << ' ' << static_cast<itimer>(9);
    EXPECT_EQ(out.str(), "ITIMER_REAL ITIMER_VIRTUAL ITIMER_PROF itimer(9)");
}

} // namespace
