// runtime and run_main(): start-up dispositions, restoring them (G7), death by SIGINT.

#include <tocsin/tocsin.hpp>

#include <cstdio>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

#include "dispositions.hpp"

namespace {

using support::all_dispositions;
using support::died_of;
using support::exited_with;
using support::in_child;
using tocsin::getsignal;

void nothing(int) {}
void foreign(int) {}

// The state a program usually starts with, whatever the test was started from.
struct usual_start {
    usual_start()
    {
        for (const int sig : {SIGPIPE, SIGXFSZ, SIGINT})
            ::signal(sig, SIG_DFL);
    }
};

TEST(runtime, ignores_sigpipe_and_sigxfsz_and_makes_sigint_an_exception)
{
    const usual_start start;
    const tocsin::runtime active;
    EXPECT_TRUE(getsignal(SIGPIPE) == tocsin::ignore);
    EXPECT_TRUE(getsignal(SIGXFSZ) == tocsin::ignore);
    EXPECT_TRUE(getsignal(SIGINT) == tocsin::default_int_handler);
    EXPECT_THROW(tocsin::raise_signal(SIGINT), tocsin::keyboard_interrupt);
}

TEST(runtime, a_library_alone_touches_no_disposition)
{
    const auto before = all_dispositions();
    tocsin::check_signals();
    (void)getsignal(SIGINT);
    (void)tocsin::valid_signals();
    {
        const tocsin::defer_signals guard;
    }
    tocsin::set_wakeup_fd(-1);
    EXPECT_EQ(all_dispositions(), before);
}

TEST(runtime, keeps_what_is_not_the_default)
{
    ::signal(SIGINT, SIG_IGN); // as under nohup or in a background job of a plain shell
    ::signal(SIGPIPE, foreign);
    tocsin::signal(SIGXFSZ, nothing);
    {
        const tocsin::runtime active;
        EXPECT_TRUE(getsignal(SIGINT) == tocsin::ignore);
        EXPECT_TRUE(getsignal(SIGPIPE).is_foreign());
        EXPECT_TRUE(getsignal(SIGXFSZ) == nothing);
    }
    EXPECT_TRUE(getsignal(SIGINT) == tocsin::ignore);
    EXPECT_EQ(support::action_of(SIGPIPE).sa_handler, &foreign);
    EXPECT_TRUE(getsignal(SIGXFSZ) == nothing);
}

TEST(G7, the_end_of_a_runtime_restores_every_disposition)
{
    const usual_start start;
    struct sigaction theirs = {};
    theirs.sa_handler = foreign;
    theirs.sa_flags = SA_RESTART | SA_NODEFER;
    ::sigaddset(&theirs.sa_mask, SIGHUP);
    ::sigaction(SIGUSR1, &theirs, nullptr);
    ::signal(SIGUSR2, SIG_IGN);
    const auto before = all_dispositions();
    {
        const tocsin::runtime active;
        tocsin::signal(SIGUSR1, nothing);
        tocsin::signal(SIGUSR2, nothing);
        tocsin::signal(SIGTERM, nothing);
        tocsin::signal(SIGTERM, SIG_IGN); // changed twice: the first one counts
        tocsin::siginterrupt(SIGUSR1, false);
        EXPECT_NE(all_dispositions(), before);
    }
    EXPECT_EQ(all_dispositions(), before);
    const struct sigaction restored = support::action_of(SIGUSR1);
    EXPECT_EQ(::sigismember(&restored.sa_mask, SIGHUP), 1);
    EXPECT_TRUE(getsignal(SIGTERM) == tocsin::default_action);
}

TEST(G7, a_handler_that_other_code_has_put_in_our_place_stays)
{
    const usual_start start;
    {
        const tocsin::runtime active;
        tocsin::signal(SIGUSR1, nothing);
        tocsin::signal(SIGUSR2, nothing);
        ::signal(SIGUSR1, foreign);
        ::signal(SIGINT, SIG_IGN);
        ::signal(SIGPIPE, foreign);
    }
    EXPECT_EQ(support::action_of(SIGUSR1).sa_handler, &foreign);
    EXPECT_EQ(support::action_of(SIGINT).sa_handler, SIG_IGN);
    EXPECT_EQ(support::action_of(SIGPIPE).sa_handler, &foreign);
    EXPECT_EQ(support::action_of(SIGUSR2).sa_handler, SIG_DFL);
    EXPECT_EQ(support::action_of(SIGXFSZ).sa_handler, SIG_DFL);
}

TEST(G7, a_handler_set_before_the_runtime_works_again_after_it)
{
    const usual_start start;
    std::string got;
    tocsin::signal(SIGUSR1, [&] { got += "before "; });
    {
        const tocsin::runtime active;
        tocsin::signal(SIGUSR1, [&] { got += "during "; });
        tocsin::raise_signal(SIGUSR1);
    }
    tocsin::raise_signal(SIGUSR1);
    EXPECT_EQ(got, "during before ");
}

TEST(G7, a_signal_pending_at_the_end_takes_the_restored_disposition)
{
    const usual_start start;
    std::string got;
    tocsin::signal(SIGUSR1, [&](const tocsin::event& e) { got += "before " + std::to_string(*e.info.pid()); });
    {
        const tocsin::runtime active;
        tocsin::signal(SIGUSR1, [&] { got += "during "; });
        ::raise(SIGUSR1);
    }
    tocsin::check_signals();
    EXPECT_EQ(got, "before " + std::to_string(::getpid()));

    const int dead = in_child([] {
        {
            const tocsin::runtime active;
            ::raise(SIGINT);
        }
        return 0;
    });
    EXPECT_TRUE(died_of(dead, SIGINT)) << dead;
}

TEST(runtime, only_one_at_a_time)
{
    const usual_start start;
    {
        const tocsin::runtime active;
        const auto before = all_dispositions();
        const std::string text = support::message_of<std::logic_error>([] { const tocsin::runtime second; });
        EXPECT_NE(text.find("another one is alive"), std::string::npos) << text;
        EXPECT_EQ(all_dispositions(), before);
        EXPECT_TRUE(getsignal(SIGINT) == tocsin::default_int_handler);
    }
    const tocsin::runtime next;
    EXPECT_TRUE(getsignal(SIGINT) == tocsin::default_int_handler);
}

TEST(runtime, belongs_to_the_main_thread)
{
    const usual_start start;
    const auto before = all_dispositions();
    std::thread([] {
        EXPECT_EQ(support::message_of<tocsin::thread_error>([] { const tocsin::runtime wrong; }),
                  "runtime only works in the main thread");
        EXPECT_THROW(tocsin::run_main([] {}), tocsin::thread_error);
    }).join();
    EXPECT_EQ(all_dispositions(), before);
}

TEST(run_main, returns_what_the_function_returns)
{
    EXPECT_EQ(tocsin::run_main([] { return 42; }), 42);
    EXPECT_EQ(tocsin::run_main([] {}), 0);
    EXPECT_EQ(tocsin::run_main([]() -> bool { return true; }), 1);
}

TEST(run_main, runs_under_a_runtime_and_restores_after_it)
{
    const usual_start start;
    const auto before = all_dispositions();
    EXPECT_EQ(tocsin::run_main([] { return getsignal(SIGPIPE) == tocsin::ignore ? 1 : 0; }), 1);
    EXPECT_EQ(all_dispositions(), before);
}

TEST(run_main, other_exceptions_pass_through_and_dispositions_are_restored)
{
    const usual_start start;
    const auto before = all_dispositions();
    EXPECT_EQ(
        support::message_of<std::runtime_error>([] { tocsin::run_main([] { throw std::runtime_error("mine"); }); }),
        "mine");
    EXPECT_EQ(all_dispositions(), before);
}

TEST(run_main, an_interrupt_that_is_caught_does_not_end_the_program)
{
    const usual_start start;
    EXPECT_EQ(tocsin::run_main([] {
                  try {
                      tocsin::raise_signal(SIGINT);
                  } catch (const tocsin::keyboard_interrupt&) {
                      return 3;
                  }
                  return 4;
              }),
              3);
}

TEST(run_main, dies_by_sigint_when_the_interrupt_escapes)
{
    const int status = in_child([] {
        const usual_start start;
        return tocsin::run_main([] {
            tocsin::raise_signal(SIGINT);
            return 5;
        });
    });
    EXPECT_TRUE(died_of(status, SIGINT)) << status;
}

TEST(run_main, dies_by_sigint_also_when_sigint_is_blocked_or_was_replaced)
{
    const int blocked = in_child([] {
        const usual_start start;
        return tocsin::run_main([] {
            tocsin::pthread_sigmask(tocsin::sigmask::block, {SIGINT});
            throw tocsin::keyboard_interrupt({SIGINT, {}, 1, {}});
        });
    });
    EXPECT_TRUE(died_of(blocked, SIGINT)) << blocked;
    const int replaced = in_child([] {
        ::signal(SIGINT, SIG_IGN);
        return tocsin::run_main([] { throw tocsin::keyboard_interrupt({SIGINT, {}, 1, {}}); });
    });
    EXPECT_TRUE(died_of(replaced, SIGINT)) << replaced;
}

TEST(run_main, a_pending_interrupt_at_the_end_kills_too)
{
    const int status = in_child([] {
        const usual_start start;
        return tocsin::run_main([] {
            ::raise(SIGINT);
            return 0;
        });
    });
    EXPECT_TRUE(died_of(status, SIGINT)) << status;
}

TEST(run_main, unwinds_and_flushes_c_streams_before_it_dies)
{
    const support::pipe_pair out;
    const int status = in_child([&] {
        const usual_start start;
        std::FILE* const stream = ::fdopen(out.writer(), "w");
        struct unwound {
            std::FILE* to;
            ~unwound() { std::fputs("unwound", to); }
        };
        return tocsin::run_main([&] {
            const unwound guard{stream};
            std::fputs("buffered ", stream);
            tocsin::raise_signal(SIGINT);
        });
    });
    EXPECT_TRUE(died_of(status, SIGINT)) << status;
    EXPECT_EQ(out.content(), "buffered unwound");
}

TEST(run_main, an_inherited_ignore_of_sigint_is_kept)
{
    const int status = in_child([] {
        ::signal(SIGINT, SIG_IGN);
        return tocsin::run_main([] {
            tocsin::raise_signal(SIGINT);
            return getsignal(SIGINT) == tocsin::ignore ? 6 : 7;
        });
    });
    EXPECT_TRUE(exited_with(status, 6)) << status;
}

TEST(run_main, writing_to_a_closed_pipe_is_an_error_and_not_a_death)
{
    const int status = in_child([] {
        const usual_start start;
        return tocsin::run_main([] {
            support::pipe_pair pipe;
            pipe.close_reader();
            return ::write(pipe.writer(), "x", 1) == -1 && errno == EPIPE ? 0 : 1;
        });
    });
    EXPECT_TRUE(exited_with(status, 0)) << status;
}

} // namespace
