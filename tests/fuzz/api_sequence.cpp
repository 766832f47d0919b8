// Sequences of calls with signals between them, against a model (model.hpp). The model makes each step first and writes
// down what must be seen: which handlers run, in which order, with what siginfo, what the calls return. Then the library
// makes it, and may show exactly that. A step that would end the process is made in a child, which must die of it.

#include <tocsin/tocsin.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "input.hpp"
#include "model.hpp"
#include "program.hpp"

namespace {

using fuzz::action;
using fuzz::kind;
using fuzz::model;
using fuzz::require;
using fuzz::signal_count;
using fuzz::signals;
using fuzz::step;
using fuzz::token;

sigset_t set_of(unsigned long members)
{
    sigset_t result;
    ::sigemptyset(&result);
    for (std::size_t i = 0; i < signal_count; ++i) {
        if (((members >> i) & 1U) != 0)
            ::sigaddset(&result, signals[i]);
    }
    return result;
}

constexpr unsigned long all_members = (1UL << signal_count) - 1;

template <class Set>
unsigned long members_of(const Set& set)
{
    unsigned long result = 0;
    for (std::size_t i = 0; i < signal_count; ++i) {
        bool member = false;
        if constexpr (std::is_same_v<Set, sigset_t>)
            member = ::sigismember(&set, signals[i]) == 1;
        else
            member = set.contains(signals[i]);
        result |= static_cast<unsigned long>(member) << i;
    }
    return result;
}

tocsin::signal_set tocsin_set_of(unsigned long members) { return tocsin::signal_set(set_of(members)); }

constinit std::atomic<long> foreign_runs[65]{};

extern "C" void foreign_handler(int sig) { foreign_runs[sig].fetch_add(1, std::memory_order_relaxed); }

void raw_action(int sig, void (*handler)(int))
{
    struct sigaction action = {};
    action.sa_handler = handler;
    ::sigaction(sig, &action, nullptr);
}

class pipe_pair {
public:
    explicit pipe_pair(int flags)
    {
        if (::pipe2(fds_, flags) != 0)
            fuzz::fail("no pipe");
    }
    [[nodiscard]] int reader() const { return fds_[0]; }
    [[nodiscard]] int writer() const { return fds_[1]; }
    void put(std::uint8_t byte) const
    {
        while (::write(fds_[1], &byte, 1) == -1 && errno == EINTR) {
        }
    }
    [[nodiscard]] std::optional<std::uint8_t> get() const
    {
        std::uint8_t byte = 0;
        ssize_t count = 0;
        while ((count = ::read(fds_[0], &byte, 1)) == -1 && errno == EINTR) {
        }
        return count == 1 ? std::optional(byte) : std::nullopt;
    }
    void close_reader() { close_one(0); }
    void close_writer() { close_one(1); }
    /// The child of a fork gets a pipe of its own under the same numbers.
    void renew(int flags) const
    {
        const pipe_pair other(flags);
        ::dup3(other.reader(), reader(), O_CLOEXEC);
        ::dup3(other.writer(), writer(), O_CLOEXEC);
        ::fcntl(reader(), F_SETFL, flags & O_NONBLOCK);
        ::fcntl(writer(), F_SETFL, flags & O_NONBLOCK);
        ::close(other.reader());
        ::close(other.writer());
    }

private:
    void close_one(std::size_t which)
    {
        ::close(fds_[which]);
        fds_[which] = -1;
    }
    int fds_[2]{-1, -1};
};

// A thread that, when told, opens its mask for one signal and sends it to the process; the main thread blocks it, so
// that no other can take it.
class other_thread {
public:
    other_thread()
        : orders_(O_CLOEXEC)
        , done_(O_CLOEXEC)
        , thread_([this] { serve(); })
    {
        thread_.detach();
    }
    void take(std::size_t which) const
    {
        orders_.put(static_cast<std::uint8_t>(which));
        require(done_.get().has_value(), "the other thread has gone");
    }

private:
    void serve() const
    {
        const sigset_t all = set_of(all_members);
        ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
        while (const auto which = orders_.get()) {
            const sigset_t one = set_of(1UL << *which);
            ::pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
            ::kill(::getpid(), signals[*which]);
            ::pthread_sigmask(SIG_BLOCK, &one, nullptr);
            done_.put(0);
        }
    }

    pipe_pair orders_;
    pipe_pair done_;
    std::thread thread_;
};

// What lives as long as the process.
struct fixtures {
    pipe_pair wake[2]{pipe_pair(O_NONBLOCK | O_CLOEXEC), pipe_pair(O_NONBLOCK | O_CLOEXEC)};
    pipe_pair bytes{O_NONBLOCK | O_CLOEXEC};
    tocsin::pidfd self = tocsin::pidfd_open(::getpid());
    other_thread other;
};
fixtures* fixed = nullptr;

// The library, making a program's steps.
class world {
public:
    world(const fuzz::program& p, model& expected)
        : program_(&p)
        , model_(&expected)
    {
        for (std::size_t n = 0; n < fuzz::handler_count; ++n)
            handlers_.push_back(make_handler(static_cast<long>(n)));
    }
    ~world() { clean_up(); }
    world(const world&) = delete;
    world& operator=(const world&) = delete;

    void make(const step& s)
    {
        ++made_;
        model_->expected.clear();
        model_->children.clear();
        model after = *model_;
        try {
            after.make(s);
        } catch (const fuzz::death&) {
            watch_death(s);
            return;
        } catch (const fuzz::endless&) {
            return;
        }
        *model_ = std::move(after);
        next_ = 0;
        next_child_ = 0;
        run_whole(s);
        require_end();
        look();
    }

private:
    // Seen, and to be seen.

    void see(const char* what, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0)
    {
        const token now{what, {a, b, c, d, e, 0}};
        if (next_ == model_->expected.size())
            fuzz::fail(context() + "unexpected: " + now.text());
        const token& wanted = model_->expected[next_++];
        if (!(now == wanted))
            fuzz::fail(context() + "seen: " + now.text() + "; expected: " + wanted.text());
    }

    void require_end() const
    {
        if (next_ != model_->expected.size())
            fuzz::fail(context() + "missing: " + model_->expected[next_].text());
    }

    [[nodiscard]] std::string context() const
    {
        return "the program:" + program_->text() + "\nat step " + std::to_string(made_) +
               (model_->in_child() ? ", in the child: " : ": ");
    }

    template <class... Values>
    void agree(bool holds, const char* what, const Values&... values) const
    {
        if (!holds)
            require(false, (context() + what).c_str(), values...);
    }

    // Everything that can be looked at between two steps.
    void look()
    {
        for (std::size_t i = 0; i < signal_count; ++i) {
            const auto wanted = model_->shown(i);
            const tocsin::handler shown = tocsin::getsignal(signals[i]);
            agree(static_cast<int>(shown.type()) == static_cast<int>(wanted.what), "getsignal", signals[i], shown);
            agree(!shown.is_callable() || shown == handlers_[static_cast<std::size_t>(wanted.handler)],
                  "getsignal: another callable", signals[i]);
            struct sigaction action = {};
            ::sigaction(signals[i], nullptr, &action);
            agree(((action.sa_flags & SA_RESTART) != 0) == model_->kernel[i].restart, "SA_RESTART", signals[i]);
            agree(foreign_runs[signals[i]].load(std::memory_order_relaxed) == model_->foreign_runs[i],
                  "runs of the foreign handler", signals[i]);
        }
        sigset_t mask;
        ::pthread_sigmask(SIG_BLOCK, nullptr, &mask);
        agree(members_of(mask) == model_->mask(), "signal mask", members_of(mask), model_->mask());
        const auto in_kernel = members_of(tocsin::sigpending());
        agree(in_kernel == model_->kernel_pending(), "sigpending", in_kernel, model_->kernel_pending());
        const auto pending = members_of(tocsin::signal_set::from_bits(tocsin::detail::main_pending.load()));
        agree(pending == model_->pending_mask(), "pending handlers", pending, model_->pending_mask());
        for (std::size_t n = 0; n < 2; ++n) {
            for (const std::uint8_t wanted : model_->wake_bytes[n]) {
                const auto byte = fixed->wake[n].get();
                agree(byte == wanted, "wake-up byte", byte ? int{*byte} : -1, int{wanted});
            }
            agree(!fixed->wake[n].get(), "a wake-up byte too many");
            model_->wake_bytes[n].clear();
        }
    }

    // Handlers.

    tocsin::handler make_handler(long number)
    {
        switch (number % 3) {
        case 0:
            return [this, number](const tocsin::event& e) {
                if (!quiet_)
                    on_event(number, e);
            };
        case 1:
            return [this, number](tocsin::signum sig) {
                if (!quiet_)
                    on_call(number, int{sig});
            };
        default:
            return [this, number] {
                if (!quiet_)
                    on_call(number, 0);
            };
        }
    }

    void on_event(long number, const tocsin::event& e)
    {
        require_true_sender(e.info);
        see("handler", number, int{e.signo}, static_cast<long>(e.count), e.info.code(), value_of(e.info));
        make_handlers_steps(number);
    }

    void on_call(long number, int sig)
    {
        see("handler", number, sig);
        make_handlers_steps(number);
    }

    void make_handlers_steps(long number)
    {
        const fuzz::handler_program& does = program_->handlers[static_cast<std::size_t>(number)];
        ++depth_;
        try {
            for (const step& each : does.steps) {
                if (depth_ > fuzz::deepest || steps_ >= fuzz::handler_steps)
                    break;
                ++steps_;
                run(each);
            }
        } catch (...) {
            --depth_;
            throw;
        }
        --depth_;
        if (does.throws)
            throw fuzz::thrown{number};
    }

    static long value_of(const tocsin::siginfo& info)
    {
        if (const auto value = info.value())
            return value->sival_int;
        return info.status().value_or(0);
    }

    static void require_true_sender(const tocsin::siginfo& info)
    {
        require(info.uid() == ::getuid(), "siginfo: uid", info);
        require(info.code() == CLD_EXITED || info.code() == CLD_KILLED || info.pid() == ::getpid(), "siginfo: pid",
                info);
    }

    // Steps.

    void run_whole(const step& s)
    {
        try {
            run(s);
        } catch (const fuzz::thrown& e) {
            see("threw", e.handler);
        }
    }

    [[nodiscard]] tocsin::handler handler_for(unsigned b) const
    {
        const std::size_t choice = b % (fuzz::handler_count + 3);
        if (choice == 0)
            return tocsin::default_action;
        if (choice == 1)
            return tocsin::ignore;
        if (choice == 2)
            return saved_;
        return handlers_[choice - 3];
    }

    [[nodiscard]] long number_of(const tocsin::handler& which) const
    {
        for (std::size_t n = 0; n < handlers_.size() && which.is_callable(); ++n) {
            if (which == handlers_[n])
                return static_cast<long>(n);
        }
        return -1;
    }

    void run(const step& s)
    {
        const int sig = signals[s.which()];
        const unsigned long members = s.a & all_members;
        const int how = std::array{SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK}[s.b % 3];
        switch (s.what) {
        case action::signal: {
            const tocsin::handler before = tocsin::signal(sig, handler_for(s.b));
            see("signal", static_cast<long>(before.type()), number_of(before));
            break;
        }
        case action::save:
            saved_ = tocsin::getsignal(sig);
            see("saved", static_cast<long>(saved_.type()), number_of(saved_));
            break;
        case action::siginterrupt:
            tocsin::siginterrupt(sig, (s.b & 1) != 0);
            break;
        case action::raise_signal:
            tocsin::raise_signal(sig);
            break;
        case action::raise:
            ::raise(sig);
            break;
        case action::kill:
            ::kill(::getpid(), sig);
            break;
        case action::pidfd_send: // a child has no descriptor of itself
            if (model_->in_child())
                ::kill(::getpid(), sig);
            else
                tocsin::pidfd_send_signal(fixed->self.native_handle(), sig);
            break;
        case action::sigqueue: {
            sigval value{};
            value.sival_int = s.b;
            tocsin::sigqueue(::getpid(), sig, value);
            break;
        }
        case action::pthread_kill:
            tocsin::pthread_kill(::pthread_self(), sig);
            break;
        case action::by_other:
            take_elsewhere(s.which());
            break;
        case action::sigmask:
            see("mask", static_cast<long>(members_of(tocsin::pthread_sigmask(how, tocsin_set_of(members)))));
            break;
        case action::raw_sigmask: {
            const sigset_t set = set_of(members);
            ::pthread_sigmask(how, &set, nullptr);
            break;
        }
        case action::mask_guard:
            masks_.push_back(
                std::make_unique<tocsin::mask_guard>(static_cast<tocsin::sigmask>(how), tocsin_set_of(members)));
            break;
        case action::end_mask:
            if (!masks_.empty())
                masks_.pop_back();
            break;
        case action::defer:
            guards_.push_back(std::make_unique<tocsin::defer_signals>());
            break;
        case action::end_deferral:
            if (!guards_.empty())
                guards_.pop_back();
            break;
        case action::release:
            if (!guards_.empty()) {
                const auto last = std::move(guards_.back());
                guards_.pop_back();
                last->release();
            }
            break;
        case action::check_signals:
            tocsin::check_signals();
            break;
        case action::sigtimedwait:
            if (const auto info = tocsin::sigtimedwait(tocsin_set_of(members), 0))
                see("waited", int{info->signo()}, info->code(), value_of(*info));
            else
                see("waited");
            break;
        case action::sigwaitinfo: {
            const tocsin::siginfo info = tocsin::sigwaitinfo(tocsin_set_of(members));
            see("waited", int{info.signo()}, info.code(), value_of(info));
            break;
        }
        case action::wakeup_fd: {
            const int which = s.a % 3 - 1;
            const int before = tocsin::set_wakeup_fd(which < 0 ? -1 : fixed->wake[which].writer());
            see("wakeup_fd", before == -1 ? -1 : before == fixed->wake[1].writer());
            break;
        }
        case action::runtime:
            if (runtime_)
                runtime_.reset();
            else
                runtime_.emplace();
            break;
        case action::fork:
            if (next_ < model_->expected.size() && std::strcmp(model_->expected[next_].what, "fork") == 0) {
                const long sig_of_death = model_->expected[next_].values[0];
                see("fork", sig_of_death);
                fork_child(program_->handlers[s.a % fuzz::handler_count].steps, (s.b & 1) != 0,
                           static_cast<int>(sig_of_death));
            } else {
                see("no fork");
            }
            break;
        case action::read:
            read_byte(s.a);
            break;
        case action::poll: {
            pollfd ready{fixed->bytes.reader(), POLLIN, 0};
            see("poll", tocsin::blocking::poll(&ready, 1, 0));
            break;
        }
        case action::sleep:
            tocsin::blocking::sleep_for(0);
            break;
        case action::pause:
            try {
                tocsin::pause();
            } catch (const std::logic_error&) {
                see("pause refused");
            }
            break;
        case action::foreign:
            raw_action(sig, foreign_handler);
            break;
        case action::changed:
            see("changed", static_cast<long>(members_of(tocsin::changed_signals())));
            break;
        case action::count:
            break;
        }
    }

    // The byte goes into a pipe of this step's own: handlers may read bytes too.
    void read_byte(std::uint8_t byte)
    {
        struct closed_at_the_end : pipe_pair {
            using pipe_pair::pipe_pair;
            ~closed_at_the_end()
            {
                close_reader();
                close_writer();
            }
        } const pipe(O_CLOEXEC);
        pipe.put(byte);
        std::uint8_t got = 0;
        require(tocsin::blocking::read(pipe.reader(), &got, 1) == 1, "read: no byte");
        see("read", got);
    }

    void take_elsewhere(std::size_t which) const
    {
        if (model_->in_child())
            return;
        const sigset_t one = set_of(1UL << which);
        sigset_t before;
        ::pthread_sigmask(SIG_BLOCK, &one, &before);
        fixed->other.take(which);
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }

    // Children.

    void fork_child(const std::vector<step>& steps, bool reset, int sig_of_death)
    {
        model& child = model_->children[next_child_++];
        pipe_pair passed(O_CLOEXEC);
        const pid_t pid = ::fork();
        if (pid == 0) {
            for (const pipe_pair& each : fixed->wake)
                each.renew(O_NONBLOCK | O_CLOEXEC);
            model_ = &child;
            next_ = 0;
            for (const step& each : steps)
                run_whole(each);
            if (reset)
                tocsin::reset_for_exec();
            require_end();
            look();
            passed.put(1);
            ::_exit(0);
        }
        passed.close_writer();
        const bool said_so = passed.get().has_value();
        passed.close_reader();
        int status = 0;
        pid_t waited = 0;
        while ((waited = ::waitpid(pid, &status, 0)) == -1 && errno == EINTR) {
        }
        agree(said_so == (sig_of_death == 0), "the child passed", said_so, "status", status, "to die of", sig_of_death);
        if (waited == -1) // SIGCHLD is ignored: the kernel tells nothing
            return;
        if (sig_of_death == 0)
            agree(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child's status", status);
        else
            agree(WIFSIGNALED(status) && WTERMSIG(status) == sig_of_death, "the child's status", status, "to die of",
                  sig_of_death);
    }

    void watch_death(const step& s)
    {
        if (!model_->may_fork(s))
            return;
        model child = *model_;
        child.fork();
        int sig = 0;
        try {
            child.child({s}, false);
        } catch (const fuzz::death& d) {
            sig = d.sig;
        } catch (const fuzz::endless&) {
            return;
        }
        model_->count_fork();
        model_->children.push_back(child);
        model_->child_ended(sig);
        next_ = 0;
        next_child_ = 0;
        fork_child({s}, false, sig);
        look();
    }

    // Puts back what the process was, without running a handler or meeting a default action.
    void clean_up()
    {
        quiet_ = true;
        const sigset_t all = set_of(all_members);
        for (const int sig : signals) // drops what the kernel holds back
            raw_action(sig, SIG_IGN);
        while (!masks_.empty()) // the innermost first
            masks_.pop_back();
        ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
        while (!guards_.empty())
            guards_.pop_back();
        runtime_.reset();
        tocsin::set_wakeup_fd(-1);
        for (const int sig : signals) // dropped, in the kernel and here
            tocsin::signal(sig, tocsin::ignore);
        tocsin::check_signals();
        for (const int sig : signals) {
            tocsin::signal(sig, tocsin::default_action);
            foreign_runs[sig] = 0;
        }
        ::pthread_sigmask(SIG_UNBLOCK, &all, nullptr);
        for (const pipe_pair& each : fixed->wake) {
            while (each.get()) {
            }
        }
        require(members_of(tocsin::signal_set::from_bits(tocsin::detail::main_pending.load())) == 0,
                "something is pending after the end");
    }

    const fuzz::program* program_;
    model* model_;
    std::vector<tocsin::handler> handlers_;
    tocsin::handler saved_;
    std::vector<std::unique_ptr<tocsin::mask_guard>> masks_;
    std::vector<std::unique_ptr<tocsin::defer_signals>> guards_;
    std::optional<tocsin::runtime> runtime_;
    std::size_t next_ = 0;
    std::size_t next_child_ = 0;
    long made_ = -1;
    unsigned depth_ = 0;
    unsigned steps_ = 0;
    bool quiet_ = false;
};

} // namespace

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/)
{
    // Threads that the fuzzer starts later inherit that these are blocked, and take none of them.
    const sigset_t all = set_of(all_members);
    ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
    for (const int sig : signals) { // so that tocsin remembers that they were not ignored before it came
        raw_action(sig, SIG_DFL);
        tocsin::signal(sig, tocsin::default_action);
    }
    static fixtures of_the_process;
    fixed = &of_the_process;
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    for (const int sig : signals) // the fuzzer handles some of them
        raw_action(sig, SIG_DFL);
    const sigset_t all = set_of(all_members);
    ::pthread_sigmask(SIG_UNBLOCK, &all, nullptr);
    const fuzz::program program = fuzz::program::read(fuzz::input(data, size));
    model expected(program);
    world library(program, expected);
    for (const step& each : program.steps)
        library.make(each);
    return 0;
}
