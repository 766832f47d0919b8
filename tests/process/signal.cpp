// signal(), getsignal(), siginterrupt(): what they check, in which order, and what they change.

#include <tocsin/tocsin.hpp>

#include <atomic>
#include <climits>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include "dispositions.hpp"

namespace {

using support::all_dispositions;
using support::errno_of;
using support::message_of;
using tocsin::getsignal;

void nothing(int) {}

volatile std::sig_atomic_t foreign_calls = 0;
void foreign(int) { foreign_calls = foreign_calls + 1; }

TEST(signal, refuses_numbers_out_of_range_and_changes_nothing)
{
    const auto before = all_dispositions();
    for (const int sig : {0, -1, 65, INT_MIN, INT_MAX}) {
        for (const std::string& text : {message_of<std::out_of_range>([&] { tocsin::signal(sig, nothing); }),
                                        message_of<std::out_of_range>([&] { tocsin::signal(sig, SIG_DFL); })}) {
            EXPECT_EQ(text.rfind("signal: ", 0), 0U) << text;
            EXPECT_NE(text.find(' ' + std::to_string(sig) + ' '), std::string::npos) << text;
            EXPECT_NE(text.find("[1; 64]"), std::string::npos) << text;
        }
    }
    EXPECT_EQ(all_dispositions(), before);
}

TEST(signal, refuses_what_the_kernel_or_the_c_library_keeps_and_changes_nothing)
{
    const auto before = all_dispositions();
    for (const auto& [sig, name] :
         {std::pair{SIGKILL, "SIGKILL"}, std::pair{SIGSTOP, "SIGSTOP"}, std::pair{32, "32"}, std::pair{33, "33"}}) {
        for (const tocsin::handler& h :
             {tocsin::handler(nothing), tocsin::handler(SIG_IGN), tocsin::handler(SIG_DFL)}) {
            const auto refused = [&, number = sig] { tocsin::signal(number, h); };
            EXPECT_EQ(errno_of(refused), EINVAL);
            const std::string text = message_of<std::system_error>(refused);
            EXPECT_EQ(text.rfind("signal: ", 0), 0U) << text;
            EXPECT_NE(text.find(name), std::string::npos) << text;
        }
        EXPECT_TRUE(getsignal(sig) == tocsin::default_action) << sig;
    }
    EXPECT_EQ(all_dispositions(), before);
}

TEST(signal, belongs_to_the_main_thread)
{
    tocsin::signal(SIGUSR1, nothing);
    const auto before = all_dispositions();
    std::thread([&] {
        const std::string text = message_of<tocsin::thread_error>([] { tocsin::signal(SIGUSR1, SIG_DFL); });
        EXPECT_EQ(text, "signal only works in the main thread");
    }).join();
    EXPECT_EQ(all_dispositions(), before);
    EXPECT_TRUE(getsignal(SIGUSR1) == nothing);
}

TEST(signal, checks_the_thread_first_then_the_range_then_the_handlers_that_are_due_then_the_kernel)
{
    std::thread([] {
        EXPECT_THROW(tocsin::signal(0, nothing), tocsin::thread_error);
        EXPECT_THROW(tocsin::signal(SIGKILL, nothing), tocsin::thread_error);
    }).join();

    int ran = 0;
    tocsin::signal(SIGUSR1, [&] {
        ++ran;
        throw std::runtime_error("due");
    });
    ::raise(SIGUSR1);
    EXPECT_THROW(tocsin::signal(65, nothing), std::out_of_range);
    EXPECT_EQ(ran, 0);
    EXPECT_EQ(message_of<std::runtime_error>([] { tocsin::signal(SIGKILL, nothing); }), "due");
    EXPECT_EQ(ran, 1);
    EXPECT_EQ(errno_of([] { tocsin::signal(SIGKILL, nothing); }), EINVAL);
}

TEST(signal, a_handler_that_is_due_runs_first_and_what_it_throws_prevents_the_change)
{
    int ran = 0;
    tocsin::signal(SIGUSR1, [&] {
        ++ran;
        throw std::runtime_error("due");
    });
    ::raise(SIGUSR1);
    const auto before = all_dispositions();
    EXPECT_EQ(message_of<std::runtime_error>([] { tocsin::signal(SIGUSR2, nothing); }), "due");
    EXPECT_EQ(all_dispositions(), before);
    EXPECT_TRUE(getsignal(SIGUSR2) == tocsin::default_action);
    ::raise(SIGUSR1);
    EXPECT_EQ(message_of<std::runtime_error>([] { tocsin::signal(SIGUSR1, SIG_IGN); }), "due");
    EXPECT_TRUE(getsignal(SIGUSR1).is_callable());
    tocsin::signal(SIGUSR1, SIG_IGN);
    EXPECT_TRUE(getsignal(SIGUSR1) == tocsin::ignore);
    EXPECT_EQ(ran, 2);
}

TEST(signal, a_handler_that_is_due_runs_before_it_is_replaced)
{
    std::string got;
    tocsin::signal(SIGUSR1, [&] { got += "old "; });
    ::raise(SIGUSR1);
    tocsin::signal(SIGUSR1, [&] { got += "new "; });
    EXPECT_EQ(got, "old ");
    ::raise(SIGUSR1);
    tocsin::check_signals();
    EXPECT_EQ(got, "old new ");
    ::raise(SIGUSR1);
    tocsin::signal(SIGUSR1, SIG_DFL);
    EXPECT_EQ(got, "old new new ");
}

TEST(signal, returns_what_was_there_before)
{
    EXPECT_TRUE(tocsin::signal(SIGUSR1, nothing) == tocsin::default_action);
    const auto lambda = tocsin::handler([] {});
    EXPECT_TRUE(tocsin::signal(SIGUSR1, lambda) == nothing);
    EXPECT_TRUE(getsignal(SIGUSR1) == lambda);
    EXPECT_TRUE(tocsin::signal(SIGUSR1, tocsin::ignore) == lambda);
    EXPECT_TRUE(getsignal(SIGUSR1) == tocsin::ignore);
    EXPECT_TRUE(tocsin::signal(SIGUSR1, SIG_DFL) == SIG_IGN);
    EXPECT_TRUE(getsignal(SIGUSR1) == SIG_DFL);
    EXPECT_TRUE(tocsin::signal(SIGUSR1, SIG_DFL) == SIG_DFL);
}

TEST(signal, works_for_every_signal_that_can_be_caught)
{
    SKIP_WITHOUT_SIGRTMAX();
    for (const tocsin::signum sig : tocsin::valid_signals() - tocsin::signal_set{SIGKILL, SIGSTOP}) {
        int got = 0;
        const auto previous = tocsin::signal(sig, [&](int n) { got = n; });
        tocsin::raise_signal(sig);
        EXPECT_EQ(got, sig);
        tocsin::signal(sig, previous);
        EXPECT_TRUE(getsignal(sig) == previous) << sig;
    }
}

TEST(signal, puts_back_the_previous_handler_as_the_same_object)
{
    struct counter {
        int calls = 0;
        void operator()() { ++calls; }
    };
    tocsin::signal(SIGUSR1, counter{});
    tocsin::raise_signal(SIGUSR1);
    const tocsin::handler previous = tocsin::signal(SIGUSR1, SIG_IGN);
    tocsin::signal(SIGUSR1, previous);
    tocsin::raise_signal(SIGUSR1);
    ASSERT_NE(getsignal(SIGUSR1).target<counter>(), nullptr);
    EXPECT_EQ(getsignal(SIGUSR1).target<counter>()->calls, 2);
}

TEST(signal, puts_back_a_foreign_handler_with_its_flags_and_mask)
{
    struct sigaction theirs = {};
    theirs.sa_handler = foreign;
    theirs.sa_flags = SA_RESTART;
    ::sigemptyset(&theirs.sa_mask);
    ::sigaddset(&theirs.sa_mask, SIGHUP);
    ASSERT_EQ(::sigaction(SIGUSR1, &theirs, nullptr), 0);

    EXPECT_TRUE(getsignal(SIGUSR1).is_foreign());
    const tocsin::handler previous = tocsin::signal(SIGUSR1, nothing);
    EXPECT_TRUE(previous.is_foreign());
    EXPECT_FALSE(previous.is_callable());
    EXPECT_EQ(previous.target<void (*)(int)>(), nullptr);
    tocsin::raise_signal(SIGUSR1);
    EXPECT_EQ(foreign_calls, 0);

    EXPECT_TRUE(tocsin::signal(SIGUSR1, previous) == nothing);
    const struct sigaction now = support::action_of(SIGUSR1);
    EXPECT_EQ(now.sa_handler, &foreign);
    EXPECT_EQ(now.sa_flags & (SA_RESTART | SA_SIGINFO | SA_ONSTACK), SA_RESTART);
    EXPECT_EQ(::sigismember(&now.sa_mask, SIGHUP), 1);
    EXPECT_EQ(::sigismember(&now.sa_mask, SIGTERM), 0);
    EXPECT_TRUE(getsignal(SIGUSR1) == previous);
    ::raise(SIGUSR1);
    EXPECT_EQ(foreign_calls, 1);
}

TEST(getsignal, reads_the_kernel_so_that_changes_of_other_code_are_seen)
{
    tocsin::signal(SIGUSR1, nothing);
    ::signal(SIGUSR1, foreign);
    EXPECT_TRUE(getsignal(SIGUSR1).is_foreign());
    ::signal(SIGUSR1, SIG_IGN);
    EXPECT_TRUE(getsignal(SIGUSR1) == tocsin::ignore);
    EXPECT_TRUE(tocsin::signal(SIGUSR1, nothing) == tocsin::ignore);
    EXPECT_TRUE(getsignal(SIGUSR1) == nothing);
}

TEST(getsignal, works_in_any_thread)
{
    tocsin::signal(SIGUSR1, nothing);
    std::thread([] {
        EXPECT_TRUE(getsignal(SIGUSR1) == nothing);
        EXPECT_TRUE(getsignal(SIGUSR2) == tocsin::default_action);
    }).join();
}

TEST(getsignal, refuses_numbers_out_of_range_and_knows_the_kept_ones_as_default)
{
    for (const int sig : {0, -1, -5, 65, INT_MIN}) {
        const std::string text = message_of<std::out_of_range>([&] { (void)getsignal(sig); });
        EXPECT_EQ(text.rfind("getsignal: ", 0), 0U) << text;
        EXPECT_NE(text.find(' ' + std::to_string(sig) + ' '), std::string::npos) << text;
    }
    for (const int sig : {SIGKILL, SIGSTOP, 32, 33})
        EXPECT_TRUE(getsignal(sig) == tocsin::default_action) << sig;
}

TEST(signal, installs_siginfo_and_onstack_without_restart_and_blocks_everything_meanwhile)
{
    tocsin::signal(SIGUSR1, nothing);
    const struct sigaction action = support::action_of(SIGUSR1);
    EXPECT_EQ(action.sa_flags & SA_SIGINFO, SA_SIGINFO);
    EXPECT_EQ(action.sa_flags & SA_ONSTACK, SA_ONSTACK);
    const unsigned unwanted =
        SA_RESTART | SA_NODEFER | static_cast<unsigned>(SA_RESETHAND) | SA_NOCLDSTOP | SA_NOCLDWAIT;
    EXPECT_EQ(static_cast<unsigned>(action.sa_flags) & unwanted, 0U);
    for (const tocsin::signum sig : tocsin::valid_signals() - tocsin::signal_set{SIGKILL, SIGSTOP})
        EXPECT_EQ(::sigismember(&action.sa_mask, sig), 1) << sig;
}

TEST(signal, leaves_the_dispositions_of_other_signals_alone)
{
    auto before = all_dispositions();
    tocsin::signal(SIGUSR1, nothing);
    auto after = all_dispositions();
    const auto is_usr1 = [](const auto& each) { return std::get<0>(each) == SIGUSR1; };
    std::erase_if(before, is_usr1);
    std::erase_if(after, is_usr1);
    EXPECT_EQ(after, before);
}

TEST(signal, an_old_handler_is_destroyed_where_its_destructor_may_call_in_again)
{
    struct calls_in {
        std::shared_ptr<int> token;
        ~calls_in()
        {
            if (token) {
                EXPECT_TRUE(getsignal(SIGUSR1) == tocsin::ignore);
                tocsin::signal(SIGUSR2, nothing);
                ++*token;
            }
        }
        explicit calls_in(std::shared_ptr<int> t)
            : token(std::move(t))
        {}
        calls_in(calls_in&& other) noexcept = default;
        void operator()() const {}
    };
    const auto destroyed = std::make_shared<int>(0);
    tocsin::signal(SIGUSR1, calls_in(destroyed));
    EXPECT_EQ(*destroyed, 0);
    tocsin::signal(SIGUSR1, SIG_IGN);
    EXPECT_EQ(*destroyed, 1);
    EXPECT_TRUE(getsignal(SIGUSR2) == nothing);
}

TEST(signal, an_arrival_during_a_change_is_handled_once_by_the_old_or_the_new_handler)
{
    constexpr unsigned sent = 20'000;
    std::uint64_t by_first = 0;
    std::uint64_t by_second = 0;
    const tocsin::handler first([&](const tocsin::event& e) { by_first += e.count; });
    const tocsin::handler second([&](const tocsin::event& e) { by_second += e.count; });
    tocsin::signal(SIGUSR1, first);
    std::atomic<bool> done{false};
    std::thread sender([&] {
        for (unsigned n = 0; n < sent; ++n)
            ::raise(SIGUSR1); // on this thread, so that no two merge in the kernel
        done = true;
    });
    while (!done) {
        tocsin::signal(SIGUSR1, second);
        tocsin::signal(SIGUSR1, first);
    }
    sender.join();
    tocsin::check_signals();
    EXPECT_EQ(by_first + by_second, sent);
}

TEST(siginterrupt, refuses_what_it_cannot_change_and_names_it)
{
    const auto before = all_dispositions();
    for (const int sig : {0, -1, 65}) {
        const std::string text = message_of<std::out_of_range>([&] { tocsin::siginterrupt(sig, true); });
        EXPECT_EQ(text.rfind("siginterrupt: ", 0), 0U) << text;
        EXPECT_NE(text.find(' ' + std::to_string(sig) + ' '), std::string::npos) << text;
    }
    for (const auto& [sig, name] :
         {std::pair{SIGKILL, "SIGKILL"}, std::pair{SIGSTOP, "SIGSTOP"}, std::pair{32, "32"}, std::pair{33, "33"}}) {
        for (const bool flag : {true, false}) {
            const auto refused = [flag, number = sig] { tocsin::siginterrupt(number, flag); };
            EXPECT_EQ(errno_of(refused), EINVAL);
            const std::string text = message_of<std::system_error>(refused);
            EXPECT_EQ(text.rfind("siginterrupt: ", 0), 0U) << text;
            EXPECT_NE(text.find(name), std::string::npos) << text;
        }
    }
    EXPECT_EQ(all_dispositions(), before);
}

TEST(siginterrupt, toggles_sa_restart_alone_until_the_next_signal)
{
    tocsin::signal(SIGUSR1, nothing);
    const int flags = support::action_of(SIGUSR1).sa_flags;
    tocsin::siginterrupt(SIGUSR1, false);
    EXPECT_EQ(support::action_of(SIGUSR1).sa_flags, flags | SA_RESTART);
    EXPECT_TRUE(getsignal(SIGUSR1) == nothing);
    tocsin::siginterrupt(SIGUSR1, true);
    EXPECT_EQ(support::action_of(SIGUSR1).sa_flags, flags);
    tocsin::siginterrupt(SIGUSR1, false);
    tocsin::signal(SIGUSR1, nothing);
    EXPECT_EQ(support::action_of(SIGUSR1).sa_flags, flags);
}

TEST(siginterrupt, works_in_any_thread_and_on_foreign_handlers)
{
    ::signal(SIGUSR1, foreign);
    std::thread([] { tocsin::siginterrupt(SIGUSR1, true); }).join();
    EXPECT_EQ(support::action_of(SIGUSR1).sa_flags & SA_RESTART, 0);
    EXPECT_EQ(support::action_of(SIGUSR1).sa_handler, &foreign);
    std::thread([] { tocsin::siginterrupt(SIGUSR1, false); }).join();
    EXPECT_EQ(support::action_of(SIGUSR1).sa_flags & SA_RESTART, SA_RESTART);
}

// Reads one byte with the plain system call while another thread sends SIGUSR1; gives the errno or 0.
int read_under_fire(bool expect_interruption)
{
    const support::pipe_pair pipe(0);
    const support::pipe_pair wakeup;
    tocsin::set_wakeup_fd(wakeup.writer());
    std::atomic<bool> done{false};
    std::thread sender([&, main = ::pthread_self()] {
        // One at a time, since a flood would leave the receiver no time to return from the call; again without an
        // answer, since ThreadSanitizer keeps one that comes just before the call to itself until another comes.
        for (int n = 0; !done && (expect_interruption || n < 100); ++n) {
            ::pthread_kill(main, SIGUSR1);
            support::eventually([&] { return !wakeup.content().empty(); }, std::chrono::milliseconds(20));
        }
        if (!expect_interruption && ::write(pipe.writer(), "x", 1) != 1)
            ADD_FAILURE() << "write";
    });
    char byte = 0;
    const ssize_t result = ::read(pipe.reader(), &byte, 1);
    const int error = result == -1 ? errno : 0;
    done = true;
    sender.join();
    tocsin::set_wakeup_fd(-1);
    tocsin::check_signals();
    return error;
}

TEST(siginterrupt, tells_whether_a_blocked_system_call_is_interrupted)
{
    tocsin::signal(SIGUSR1, nothing);
    EXPECT_EQ(read_under_fire(true), EINTR);
    tocsin::siginterrupt(SIGUSR1, false);
    EXPECT_EQ(read_under_fire(false), 0);
    tocsin::siginterrupt(SIGUSR1, true);
    EXPECT_EQ(read_under_fire(true), EINTR);
}

} // namespace
