// set_wakeup_fd().

#include <tocsin/tocsin.hpp>

#include <climits>
#include <stdexcept>
#include <string>
#include <thread>

#include "dispositions.hpp"

namespace {

using support::captured_stderr;
using support::errno_of;
using support::message_of;
using support::pipe_pair;

void nothing(int) {}

std::string bytes(std::initializer_list<int> signals)
{
    std::string all;
    for (const int sig : signals)
        all += static_cast<char>(sig);
    return all;
}

TEST(wakeup, gets_the_numbers_in_the_order_of_arrival)
{
    SKIP_WITHOUT_SIGRTMAX();
    for (const int sig : {SIGUSR1, SIGTERM, SIGHUP, SIGRTMAX})
        tocsin::signal(sig, nothing);
    const pipe_pair pipe;
    EXPECT_EQ(tocsin::set_wakeup_fd(pipe.writer()), -1);
    for (const int sig : {SIGTERM, SIGUSR1, SIGRTMAX, SIGUSR1, SIGHUP})
        ::raise(sig);
    EXPECT_EQ(pipe.content(), bytes({SIGTERM, SIGUSR1, SIGRTMAX, SIGUSR1, SIGHUP}));
    tocsin::check_signals();
    EXPECT_EQ(pipe.content(), "");
    tocsin::set_wakeup_fd(-1);
}

TEST(wakeup, returns_the_previous_descriptor)
{
    const pipe_pair first;
    const pipe_pair second;
    tocsin::signal(SIGUSR1, nothing);
    EXPECT_EQ(tocsin::set_wakeup_fd(first.writer()), -1);
    EXPECT_EQ(tocsin::set_wakeup_fd(second.writer(), {.warn_on_full_buffer = false}), first.writer());
    ::raise(SIGUSR1);
    EXPECT_EQ(tocsin::set_wakeup_fd(-1), second.writer());
    ::raise(SIGUSR1);
    EXPECT_EQ(tocsin::set_wakeup_fd(-1), -1);
    EXPECT_EQ(first.content(), "");
    EXPECT_EQ(second.content(), bytes({SIGUSR1}));
}

TEST(wakeup, refuses_a_bad_descriptor_by_name_and_changes_nothing)
{
    tocsin::signal(SIGUSR1, nothing);
    const pipe_pair pipe;
    tocsin::set_wakeup_fd(pipe.writer());
    const pipe_pair blocking(0);
    int closed = -1;
    {
        const pipe_pair gone;
        closed = gone.writer();
    }
    for (const int fd : {closed, -2, INT_MIN, 1'000'000}) {
        const auto refused = [&] { tocsin::set_wakeup_fd(fd); };
        EXPECT_EQ(errno_of(refused), EBADF);
        const std::string text = message_of<std::system_error>(refused);
        EXPECT_EQ(text.rfind("set_wakeup_fd: descriptor " + std::to_string(fd), 0), 0U) << text;
    }
    EXPECT_EQ(message_of<std::invalid_argument>([&] { tocsin::set_wakeup_fd(blocking.writer()); }),
              "set_wakeup_fd: the fd " + std::to_string(blocking.writer()) + " must be in non-blocking mode");
    ::raise(SIGUSR1);
    EXPECT_EQ(pipe.content(), bytes({SIGUSR1}));
    EXPECT_EQ(tocsin::set_wakeup_fd(-1), pipe.writer());
}

TEST(wakeup, belongs_to_the_main_thread)
{
    const pipe_pair pipe;
    tocsin::set_wakeup_fd(pipe.writer());
    std::thread([] {
        EXPECT_EQ(message_of<tocsin::thread_error>([] { tocsin::set_wakeup_fd(-1); }),
                  "set_wakeup_fd only works in the main thread");
        EXPECT_THROW(tocsin::set_wakeup_fd(-2), tocsin::thread_error); // before the descriptor is looked at
    }).join();
    EXPECT_EQ(tocsin::set_wakeup_fd(-1), pipe.writer());
}

TEST(wakeup, gets_a_byte_for_a_signal_that_another_thread_took)
{
    tocsin::signal(SIGUSR1, nothing);
    const pipe_pair pipe;
    tocsin::set_wakeup_fd(pipe.writer());
    std::thread([] { ::raise(SIGUSR1); }).join();
    EXPECT_EQ(pipe.content(), bytes({SIGUSR1}));
    tocsin::set_wakeup_fd(-1);
}

TEST(wakeup, gets_nothing_for_a_signal_without_a_handler)
{
    tocsin::signal(SIGUSR1, SIG_IGN);
    ::signal(SIGUSR2, nothing);
    const pipe_pair pipe;
    tocsin::set_wakeup_fd(pipe.writer());
    ::raise(SIGUSR1);
    ::raise(SIGUSR2);
    ::raise(SIGCHLD);
    EXPECT_EQ(pipe.content(), "");
    tocsin::set_wakeup_fd(-1);
}

TEST(wakeup, finds_the_signal_already_pending_for_who_reads_the_byte)
{
    std::uint64_t handled = 0;
    tocsin::signal(SIGUSR1, [&](const tocsin::event& e) { handled += e.count; });
    const pipe_pair pipe;
    tocsin::set_wakeup_fd(pipe.writer());
    std::thread sender([] {
        for (int n = 0; n < 2000; ++n)
            ::raise(SIGUSR1);
    });
    std::uint64_t read = 0;
    const bool all = support::eventually([&] {
        read += pipe.content().size();
        tocsin::check_signals();
        EXPECT_GE(handled, read);
        return read == 2000;
    });
    EXPECT_TRUE(all) << read;
    sender.join();
    tocsin::set_wakeup_fd(-1);
}

TEST(wakeup, a_full_buffer_is_reported_from_a_safe_point_and_the_handler_runs)
{
    int ran = 0;
    tocsin::signal(SIGUSR1, [&] { ++ran; });
    const pipe_pair pipe;
    tocsin::set_wakeup_fd(pipe.writer());
    pipe.fill();
    captured_stderr captured;
    for (int n = 0; n < 3; ++n)
        ::raise(SIGUSR1);
    EXPECT_EQ(ran, 0);
    tocsin::check_signals();
    tocsin::check_signals();
    const std::string text = captured.text();
    EXPECT_EQ(text, "tocsin: ignored an error in writing to the signal wakeup fd: Resource temporarily unavailable "
                    "(errno 11)\n");
    EXPECT_EQ(ran, 1);
    tocsin::set_wakeup_fd(-1);
}

TEST(wakeup, a_full_buffer_is_not_reported_on_request)
{
    int ran = 0;
    tocsin::signal(SIGUSR1, [&] { ++ran; });
    const pipe_pair pipe;
    tocsin::set_wakeup_fd(pipe.writer(), {.warn_on_full_buffer = false});
    pipe.fill();
    captured_stderr captured;
    ::raise(SIGUSR1);
    tocsin::check_signals();
    EXPECT_EQ(captured.text(), "");
    EXPECT_EQ(ran, 1);
    tocsin::set_wakeup_fd(-1);
}

TEST(wakeup, other_write_errors_are_always_reported_and_the_handler_runs)
{
    std::uint64_t arrivals = 0;
    tocsin::signal(SIGUSR1, [&](const tocsin::event& e) { arrivals += e.count; });
    ::signal(SIGPIPE, SIG_IGN);
    for (const bool warn : {true, false}) {
        pipe_pair pipe;
        tocsin::set_wakeup_fd(pipe.writer(), {.warn_on_full_buffer = warn});
        pipe.close_reader();
        captured_stderr captured;
        ::raise(SIGUSR1);
        tocsin::check_signals();
        const std::string text = captured.text();
        EXPECT_NE(text.find("Broken pipe (errno 32)"), std::string::npos) << text;
        tocsin::set_wakeup_fd(-1);
    }
    EXPECT_EQ(arrivals, 2U);
}

TEST(wakeup, a_descriptor_that_was_closed_is_reported_and_the_handler_runs)
{
    int ran = 0;
    tocsin::signal(SIGUSR1, [&] { ++ran; });
    pipe_pair pipe;
    tocsin::set_wakeup_fd(pipe.writer());
    captured_stderr captured;
    pipe.close_writer();
    ::raise(SIGUSR1);
    tocsin::check_signals();
    const std::string text = captured.text();
    EXPECT_NE(text.find("Bad file descriptor (errno 9)"), std::string::npos) << text;
    EXPECT_EQ(ran, 1);
    tocsin::set_wakeup_fd(-1);
}

TEST(wakeup, the_report_of_an_error_counts_no_arrival_and_calls_no_handler)
{
    std::uint64_t arrivals = 0;
    int ran = 0;
    tocsin::signal(SIGUSR1, [&](const tocsin::event& e) {
        arrivals += e.count;
        ++ran;
    });
    const pipe_pair pipe;
    tocsin::set_wakeup_fd(pipe.writer());
    pipe.fill();
    captured_stderr captured;
    for (int n = 0; n < 10; ++n) {
        ::raise(SIGUSR1);
        tocsin::check_signals();
        tocsin::check_signals();
    }
    EXPECT_EQ(arrivals, 10U);
    EXPECT_EQ(ran, 10);
    tocsin::set_wakeup_fd(-1);
}

// What a child's signal leaves in the parent's pipe, when the parent had called `prepare` before the fork.
template <class Prepare>
std::string after_a_childs_signal(const pipe_pair& pipe, Prepare prepare)
{
    prepare();
    const int status = support::in_child([] {
        int ran = 0;
        tocsin::signal(SIGUSR1, [&] { ++ran; });
        tocsin::raise_signal(SIGUSR1);
        return ran;
    });
    EXPECT_TRUE(support::exited_with(status, 1)) << status;
    return pipe.content();
}

TEST(wakeup, is_off_in_a_forked_child)
{
    const pipe_pair pipe;
    EXPECT_EQ(after_a_childs_signal(pipe,
                                    [&] {
                                        tocsin::signal(SIGUSR1, nothing);
                                        tocsin::set_wakeup_fd(pipe.writer());
                                    }),
              "");
    ::raise(SIGUSR1); // and still on here
    EXPECT_EQ(pipe.content(), bytes({SIGUSR1}));
    EXPECT_EQ(tocsin::set_wakeup_fd(-1), pipe.writer());
}

TEST(wakeup, is_off_in_a_forked_child_also_when_set_before_the_first_handler)
{
    const pipe_pair pipe;
    EXPECT_EQ(after_a_childs_signal(pipe, [&] { tocsin::set_wakeup_fd(pipe.writer()); }), "");
    tocsin::set_wakeup_fd(-1);
}

} // namespace

TEST(wakeup, a_pipe_whose_reader_is_gone_neither_kills_nor_floods_with_sigpipe)
{
    const int status = support::in_child([] {
        support::pipe_pair ends;
        captured_stderr captured;
        int usr1 = 0;
        int broken = 0;
        tocsin::signal(SIGUSR1, [&] { ++usr1; });
        tocsin::set_wakeup_fd(ends.writer());
        ends.close_reader();
        ::raise(SIGUSR1); // SIGPIPE has the default action
        tocsin::check_signals();
        tocsin::signal(SIGPIPE, [&] { ++broken; });
        ::raise(SIGUSR1);
        tocsin::check_signals();
        const std::string text = captured.text();
        return usr1 == 2 && broken == 0 && text.find("errno " + std::to_string(EPIPE)) != std::string::npos ? 0 : 1;
    });
    EXPECT_TRUE(support::exited_with(status, 0)) << status;
}
