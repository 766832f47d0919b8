// G6: what the programs that a child executes get: nothing of ours through tocsin/fork.hpp, and what without it.

#include <spawn.h>

#include <array>
#include <atomic>
#include <sstream>
#include <string>
#include <thread>

#include "fork_exec.hpp"

namespace {

using support::changed_process;
using support::count_runs;
using support::expect_parent_untouched;
using support::pipe_ends;
using support::raw_clone;
using support::runs;
using support::wait_for;

std::string read_all(int fd)
{
    std::string text;
    char buffer[512];
    for (ssize_t size = 0; (size = ::read(fd, buffer, sizeof buffer)) != 0;) {
        if (size > 0)
            text.append(buffer, static_cast<std::size_t>(size));
        else if (errno != EINTR)
            break;
    }
    return text;
}

// What the kernel says of a process's signals.
struct signal_state {
    tocsin::signal_set blocked;
    tocsin::signal_set ignored;
    tocsin::signal_set caught;
};

signal_state parse_state(const std::string& text)
{
    signal_state result;
    int found = 0;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        const auto value = [&] {
            ++found;
            return tocsin::signal_set::from_bits(std::stoull(line.substr(7), nullptr, 16));
        };
        if (line.starts_with("SigBlk:"))
            result.blocked = value();
        else if (line.starts_with("SigIgn:"))
            result.ignored = value();
        else if (line.starts_with("SigCgt:"))
            result.caught = value();
    }
    EXPECT_EQ(found, 3) << text;
    return result;
}

// A program that prints its own signal state.
char cat[] = "cat";
char state_file[] = "/proc/self/status";
char* const print_state[] = {cat, state_file, nullptr};

// The state that the program executed by a child finds. `start` makes the child: it gets the descriptor that must be
// the program's standard output, and returns the child's id in the parent.
template <class Start>
signal_state state_of_executed(Start start)
{
    pipe_ends out;
    const pid_t pid = start(out.writer());
    EXPECT_GT(pid, 0);
    out.close_writer();
    const std::string text = read_all(out.reader());
    EXPECT_TRUE(support::exited_with(wait_for(pid), 0));
    return parse_state(text);
}

[[noreturn]] void exec_print_state(int out)
{
    ::dup2(out, 1);
    ::execvp(cat, print_state);
    ::_exit(127);
}

pid_t spawn_print_state(int out, const posix_spawnattr_t* attributes)
{
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, out, 1);
    pid_t pid = -1;
    EXPECT_EQ(::posix_spawnp(&pid, cat, &actions, attributes, print_state, environ), 0);
    ::posix_spawn_file_actions_destroy(&actions);
    return pid;
}

void expect_clean(const signal_state& seen)
{
    EXPECT_EQ(seen.blocked, tocsin::signal_set{});
    EXPECT_EQ(seen.caught, tocsin::signal_set{});
    EXPECT_EQ(seen.ignored & (changed_process::ignored() | changed_process::handled()), tocsin::signal_set{});
}

} // namespace

// What an executed program gets.

TEST_F(G6, without_help_a_program_inherits_mask_and_ignored_signals)
{
    SKIP_IF_EMULATED("the executed program runs on the machine, where real-time signals have other numbers");
    const changed_process changed;
    const signal_state forked = state_of_executed([](int out) {
        const pid_t pid = ::fork();
        if (pid == 0)
            exec_print_state(out);
        return pid;
    });
    const signal_state spawned = state_of_executed([](int out) { return spawn_print_state(out, nullptr); });
    for (const signal_state& seen : {forked, spawned}) {
        EXPECT_EQ(seen.blocked, changed_process::blocked());
        EXPECT_EQ(seen.ignored & changed_process::ignored(), changed_process::ignored());
        EXPECT_EQ(seen.caught, tocsin::signal_set{}); // exec itself resets handlers, the nudge's too
    }
}

TEST_F(G6, reset_for_exec_after_fork)
{
    const changed_process changed;
    expect_clean(state_of_executed([](int out) {
        const pid_t pid = ::fork();
        if (pid == 0) {
            tocsin::reset_for_exec();
            exec_print_state(out);
        }
        return pid;
    }));
}

TEST_F(G6, reset_for_exec_after_clone)
{
    const changed_process changed;
    expect_clean(state_of_executed([](int out) {
        const pid_t pid = raw_clone(0);
        if (pid == 0) {
            tocsin::reset_for_exec();
            exec_print_state(out);
        }
        return pid;
    }));
}

TEST_F(G6, reset_for_exec_after_vfork_changes_the_child_only)
{
    SKIP_WHERE_VFORK_IS_FORK();
    const changed_process changed;
    expect_clean(state_of_executed([](int out) {
        const pid_t pid = ::vfork();
        if (pid == 0) {
            tocsin::reset_for_exec();
            ::dup2(out, 1);
            ::execvp(cat, print_state);
            ::_exit(127);
        }
        return pid;
    }));
    EXPECT_EQ(tocsin::getsignal(SIGPIPE), tocsin::ignore);
    EXPECT_EQ(tocsin::pthread_sigmask(SIG_BLOCK, {}), changed_process::blocked());
    EXPECT_EQ(tocsin::changed_signals(), changed_process::ignored() | changed_process::handled());
    expect_parent_untouched();
}

TEST_F(G6, reset_for_exec_while_another_thread_holds_locks)
{
    const changed_process changed;
    std::atomic<bool> stop{false};
    std::thread other([&] {
        while (!stop)
            static_cast<void>(tocsin::getsignal(SIGUSR1)); // the registry's mutex
    });
    for (int i = 0; i < 50; ++i) {
        const pid_t pid = raw_clone(0); // no function of ours waits for that mutex
        if (pid == 0) {
            tocsin::reset_for_exec();
            ::syscall(SYS_exit_group, 0); // not _exit(): under ThreadSanitizer it waits for the other thread
        }
        EXPECT_TRUE(support::exited_with(wait_for(pid), 0));
    }
    stop = true;
    other.join();
}

TEST_F(G6, reset_for_exec_in_place)
{
    pipe_ends out;
    const pid_t pid = ::fork();
    if (pid == 0) {
        const changed_process changed; // this process replaces itself: it owns its state
        tocsin::reset_for_exec();
        exec_print_state(out.writer());
    }
    out.close_writer();
    expect_clean(parse_state(read_all(out.reader())));
    EXPECT_TRUE(support::exited_with(wait_for(pid), 0));
}

TEST_F(G6, spawn_attributes_give_a_clean_slate)
{
    const changed_process changed;
    tocsin::spawn_attributes attributes;
    expect_clean(state_of_executed([&](int out) { return spawn_print_state(out, attributes.native_handle()); }));
    EXPECT_EQ(tocsin::changed_signals(), changed_process::ignored() | changed_process::handled());
}

TEST_F(G6, spawn_attributes_take_further_flags)
{
    const changed_process changed;
    tocsin::spawn_attributes attributes;
    short flags = 0;
    ASSERT_EQ(::posix_spawnattr_getflags(attributes.native_handle(), &flags), 0);
    ASSERT_EQ(::posix_spawnattr_setflags(attributes.native_handle(), static_cast<short>(flags | POSIX_SPAWN_SETPGROUP)),
              0);
    expect_clean(state_of_executed([&](int out) { return spawn_print_state(out, attributes.native_handle()); }));
}

TEST_F(G6, what_was_ignored_at_the_start_stays_ignored)
{
    const auto seen = state_of_executed([](int out) {
        const pid_t pid = ::fork();
        if (pid == 0) {
            const tocsin::signal_set inherited{SIGHUP, SIGPIPE, SIGTTOU};
            for (const int sig : inherited)
                ::signal(sig, SIG_IGN);
            const tocsin::runtime active;
            tocsin::signal(SIGHUP, tocsin::ignore);  // says so itself
            tocsin::signal(SIGTTOU, count_runs);     // takes it over for a while
            tocsin::signal(SIGTTOU, tocsin::ignore); // and puts it back
            if ((tocsin::changed_signals() & inherited).size() != 0)
                ::_exit(1);
            tocsin::reset_for_exec();
            exec_print_state(out);
        }
        return pid;
    });
    EXPECT_EQ(seen.ignored & tocsin::signal_set({SIGHUP, SIGPIPE, SIGTTOU, SIGXFSZ}),
              tocsin::signal_set({SIGHUP, SIGPIPE, SIGTTOU}));
}

TEST_F(G6, changed_signals_follow_what_is_set)
{
    ::signal(SIGUSR1, SIG_DFL);
    ::signal(SIGPIPE, SIG_DFL);
    EXPECT_EQ(tocsin::changed_signals() & tocsin::signal_set({SIGUSR1, SIGPIPE}), tocsin::signal_set{});
    const auto changed = [](int sig) { return tocsin::changed_signals().contains(sig); };
    tocsin::signal(SIGUSR1, count_runs);
    EXPECT_TRUE(changed(SIGUSR1));
    tocsin::signal(SIGUSR1, tocsin::ignore);
    EXPECT_TRUE(changed(SIGUSR1));
    tocsin::signal(SIGUSR1, tocsin::default_action);
    EXPECT_FALSE(changed(SIGUSR1));
    {
        const tocsin::runtime active;
        EXPECT_TRUE(changed(SIGPIPE));
    }
    EXPECT_FALSE(changed(SIGPIPE));
    tocsin::signal(SIGPIPE, tocsin::ignore);
    {
        const tocsin::runtime active; // finds it ignored, by this program
        EXPECT_TRUE(changed(SIGPIPE));
        tocsin::signal(SIGPIPE, count_runs);
    }
    EXPECT_EQ(tocsin::getsignal(SIGPIPE), tocsin::ignore);
    EXPECT_TRUE(changed(SIGPIPE));
    ::signal(SIGPIPE, [](int) {}); // other code's now
    EXPECT_FALSE(changed(SIGPIPE));
    EXPECT_THROW(tocsin::signal(SIGKILL, tocsin::ignore), std::system_error);
    EXPECT_FALSE(changed(SIGKILL));
    ASSERT_TRUE(tocsin::nudge_signal().has_value());
    EXPECT_FALSE(changed(*tocsin::nudge_signal()));
}

// Nothing is lost on the way to exec: a signal that arrives too late for a handler takes the default action.

TEST_F(G6, a_signal_blocked_until_reset_for_exec_takes_the_default_action)
{
    tocsin::signal(SIGTERM, count_runs);
    const int status = support::in_child([] {
        const tocsin::mask_guard block({SIGTERM});
        ::kill(::getpid(), SIGTERM);
        tocsin::reset_for_exec();
        return 0;
    });
    EXPECT_TRUE(support::died_of(status, SIGTERM)) << status;
}

TEST_F(G6, a_signal_recorded_before_reset_for_exec_takes_the_default_action)
{
    tocsin::signal(SIGTERM, count_runs);
    const int status = support::in_child([] {
        const tocsin::defer_signals no_safe_point;
        tocsin::raise_signal(SIGTERM);
        tocsin::reset_for_exec();
        return 0;
    });
    EXPECT_TRUE(support::died_of(status, SIGTERM)) << status;
}

TEST_F(G6, reset_for_exec_in_a_foreign_child_leaves_the_parents_pending_signals_alone)
{
    SKIP_WHERE_VFORK_IS_FORK();
    tocsin::signal(SIGUSR1, count_runs);
    tocsin::defer_signals guard;
    tocsin::raise_signal(SIGUSR1);
    const pid_t pid = ::vfork();
    if (pid == 0) {
        tocsin::reset_for_exec();
        ::_exit(0);
    }
    EXPECT_TRUE(support::exited_with(wait_for(pid), 0));
    guard.release();
    EXPECT_EQ(runs, 1);
}

TEST_F(G6, a_pending_nudge_does_not_end_the_executed_program)
{
    pipe_ends out;
    const pid_t pid = ::fork();
    if (pid == 0) {
        tocsin::signal(SIGUSR1, count_runs);
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
        ::syscall(SYS_tgkill, ::getpid(), ::getpid(), int{*tocsin::nudge_signal()});
        tocsin::reset_for_exec();
        exec_print_state(out.writer());
    }
    out.close_writer();
    expect_clean(parse_state(read_all(out.reader())));
    EXPECT_TRUE(support::exited_with(wait_for(pid), 0));
}

TEST_F(G6, a_handler_of_other_code_does_not_run_after_reset_for_exec)
{
    static std::atomic<int> foreign_runs{0};
    ::signal(SIGUSR2, [](int) { ++foreign_runs; });
    const int status = support::in_child([] {
        const tocsin::mask_guard block({SIGUSR2});
        ::kill(::getpid(), SIGUSR2);
        tocsin::reset_for_exec();
        return 0;
    });
    EXPECT_TRUE(support::died_of(status, SIGUSR2)) << status;
    ::signal(SIGUSR2, SIG_DFL);
}

// The C library's ways to run a program.

TEST_F(G6, system_works_under_a_runtime)
{
    const changed_process changed;
    EXPECT_TRUE(support::exited_with(std::system("exit 3"), 3));
    EXPECT_TRUE(support::died_of(std::system("kill -USR1 $$"), SIGUSR1)); // its handler is not inherited
    EXPECT_TRUE(tocsin::getsignal(SIGINT).is_callable());
    expect_parent_untouched();
}

TEST_F(G6, popen_works_under_a_runtime)
{
    int children = 0;
    const changed_process changed;
    tocsin::signal(SIGCHLD, [&] { ++children; });
    FILE* const program = ::popen("cat /proc/self/status", "r");
    ASSERT_NE(program, nullptr);
    std::string text;
    for (;;) {
        char buffer[256];
        const std::size_t size = std::fread(buffer, 1, sizeof buffer, program);
        if (size == 0 && std::feof(program) != 0)
            break;
        if (size == 0) {
            ASSERT_EQ(errno, EINTR); // SIGCHLD
            std::clearerr(program);
        }
        text.append(buffer, size);
    }
    EXPECT_TRUE(support::exited_with(::pclose(program), 0));
    EXPECT_TRUE(support::eventually([&] {
        tocsin::check_signals();
        return children == 1;
    }));
    // The documented contrast: nothing resets what the shell and the program inherit. (The mask: shells differ.)
    EXPECT_EQ(parse_state(text).ignored & changed_process::ignored(), changed_process::ignored());
}
