#include <tocsin/child_watcher.hpp>

#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include <tocsin/inbox.hpp>
#include <tocsin/send.hpp>

#include "fail.hpp"
#include "interruptible.hpp"
#include "process.hpp"
#include "sys/sys.hpp"

namespace tocsin {
namespace {

constexpr int by_pidfd = 3; // P_PIDFD, which not every C library names

struct watched {
    pid_t pid = 0;
    pidfd process; // empty: the kernel gives none
    std::function<void(const child_exit&)> callback;
};

std::chrono::microseconds to_duration(const timeval& time)
{
    return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
}

// waitid() for one child; WNOHANG and WEXITED are added.
int wait_now(const watched& child, siginfo_t& info, int options, rusage* usage) noexcept
{
    options |= WEXITED | WNOHANG;
    int got = -EINVAL;
    if (child.process)
        got = sys::wait_child(by_pidfd, child.process.native_handle(), &info, options, usage);
    if (got == -EINVAL) // no descriptor, or Linux 5.3, which has them and cannot wait by them
        got = sys::wait_child(P_PID, child.pid, &info, options, usage);
    return got;
}

// Waits for the child if it has ended; empty while it runs.
std::optional<child_exit> reap(const watched& child)
{
    siginfo_t info{};
    rusage usage{};
    child_exit end;
    end.pid = child.pid;
    if (const int got = wait_now(child, info, 0, &usage); got == -ECHILD)
        return end;
    else if (got < 0)
        detail::fail(-got, "child_watcher: waiting for process " + std::to_string(child.pid));
    if (info.si_pid == 0)
        return std::nullopt;
    if (info.si_code == CLD_EXITED) {
        end.how = child_exit::outcome::exited;
        end.status = info.si_status;
    } else {
        end.how = child_exit::outcome::signalled;
        end.signal = info.si_status;
        end.core_dumped = info.si_code == CLD_DUMPED;
    }
    end.user_time = to_duration(usage.ru_utime);
    end.system_time = to_duration(usage.ru_stime);
    end.max_rss_kib = usage.ru_maxrss;
    return end;
}

} // namespace

struct detail::child_watches {
    static constexpr std::uint64_t by_signal = 0; // the inbox's number in the epoll instance

    child_watches()
    {
        claim_process(); // counts forks
        generation = fork_generation();
        epoll = sys::epoll_fd();
        check(epoll, "child_watcher: no descriptor");
    }
    child_watches(const child_watches&) = delete;
    child_watches& operator=(const child_watches&) = delete;
    ~child_watches()
    {
        while (!children.empty())
            forget(children.begin()->first);
        if (box && mine())
            sys::epoll_remove(epoll, box->native_handle());
        sys::close(epoll);
    }

    // A forked child has copies of the descriptors, of one epoll instance that is the parent's.
    [[nodiscard]] bool mine() const noexcept { return generation == fork_generation(); }

    // Removed first: closing does not do that while a forked child has a copy of the descriptor.
    void forget(std::uint64_t number) noexcept
    {
        const auto found = children.find(number);
        if (found == children.end())
            return;
        if (found->second.process && mine())
            sys::epoll_remove(epoll, found->second.process.native_handle());
        const auto last = children.extract(found); // a callback's destructor may come back here
    }

    void listen_for_signals()
    {
        if (!box) {
            inbox made;
            auto subscribed = made.on(SIGCHLD, [] {});
            check(sys::epoll_add(epoll, made.native_handle(), by_signal), "child_watcher: epoll_ctl");
            box.emplace(std::move(made));
            listening = std::move(subscribed);
        }
        box->wake(); // it may have ended before
    }

    // Reports the child if it has ended.
    bool look_at(std::uint64_t number)
    {
        const auto found = children.find(number);
        if (found == children.end())
            return false; // cancelled by a callback before
        const auto end = reap(found->second);
        if (!end)
            return false;
        const auto callback = std::move(found->second.callback);
        forget(number);
        callback(*end);
        return true;
    }

    std::size_t look_at_all_without_descriptor()
    {
        box->run_pending();
        struct once_more { // a callback has thrown: the rest is still to be looked at
            inbox& box;
            bool done = false;
            ~once_more()
            {
                if (!done)
                    box.wake();
            }
        } all{*box};
        std::vector<std::uint64_t> numbers;
        for (const auto& [number, child] : children) {
            if (!child.process)
                numbers.push_back(number);
        }
        std::size_t ran = 0;
        for (const std::uint64_t number : numbers)
            ran += look_at(number) ? 1 : 0;
        all.done = true;
        return ran;
    }

    bool wait(const time_limit& limit, source_location where) const
    {
        return wait_readable(epoll, limit, "child_watcher: waiting", where);
    }

    int epoll = -1;
    unsigned generation = 0;
    std::uint64_t last_number = by_signal;
    std::map<std::uint64_t, watched> children;
    std::optional<inbox> box; // only where the kernel gives no process descriptors
    subscription listening;
};

child_watch& child_watch::operator=(child_watch&& other) noexcept
{
    if (this != &other) {
        cancel();
        all_ = std::move(other.all_);
        number_ = std::exchange(other.number_, 0);
    }
    return *this;
}

void child_watch::cancel() noexcept
{
    if (const auto all = all_.lock(); all != nullptr)
        all->forget(std::exchange(number_, 0));
}

bool child_watch::active() const noexcept
{
    const auto all = all_.lock();
    return all != nullptr && all->children.contains(number_);
}

child_watcher::child_watcher()
    : all_(std::make_shared<detail::child_watches>())
{}

child_watcher::~child_watcher() = default;

child_watch child_watcher::watch(pid_t pid, std::function<void(const child_exit&)> callback)
{
    const std::string process = "child_watcher: process " + std::to_string(pid);
    if (!callback)
        throw std::invalid_argument(process + ": the callback is an empty function");
    if (pid < 1)
        detail::fail(EINVAL, process);
    watched child{pid, {}, std::move(callback)};
    const int fd = sys::pidfd_open(pid);
    // EPERM: a sandbox that does not know the call.
    if (fd < 0 && fd != -ENOSYS && fd != -EPERM)
        detail::fail(-fd, process);
    if (fd >= 0)
        child.process = pidfd(fd);
    siginfo_t info{};
    if (const int got = wait_now(child, info, WNOWAIT, nullptr); got < 0)
        detail::fail(-got, process);
    const std::uint64_t number = ++all_->last_number;
    const auto place = all_->children.emplace(number, std::move(child)).first;
    child_watch watch(all_, number); // ends it on every way out
    if (fd >= 0)
        detail::check(sys::epoll_add(all_->epoll, place->second.process.native_handle(), number),
                      "child_watcher: epoll_ctl");
    else
        all_->listen_for_signals();
    return watch;
}

int child_watcher::native_handle() const noexcept { return all_->epoll; }

std::size_t child_watcher::run_pending()
{
    std::array<epoll_event, 64> found{};
    std::size_t ran = 0;
    for (;;) {
        const int count = sys::epoll_now(all_->epoll, found.data(), static_cast<int>(found.size()));
        detail::check(count, "child_watcher: epoll_wait");
        std::size_t ran_now = 0;
        for (int n = 0; n < count; ++n) {
            const std::uint64_t number = found.at(static_cast<std::size_t>(n)).data.u64;
            if (number == detail::child_watches::by_signal)
                ran_now += all_->look_at_all_without_descriptor();
            else
                ran_now += all_->look_at(number) ? 1 : 0;
        }
        ran += ran_now;
        if (ran_now == 0 || count < static_cast<int>(found.size()))
            return ran;
    }
}

bool child_watcher::wait(source_location where) { return all_->wait(detail::time_limit::never(), where); }

bool child_watcher::wait(seconds limit, source_location where)
{
    const auto ns = limit.nanoseconds("child_watcher::wait");
    if (limit.given() < 0)
        throw std::invalid_argument("child_watcher::wait: negative time: " + detail::describe(limit));
    return all_->wait(detail::time_limit::after(ns.count()), where);
}

} // namespace tocsin
