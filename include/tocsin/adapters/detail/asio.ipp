// For asio.hpp and boost_asio.hpp, which are the same but for names: TOCSIN_ADAPTER is the namespace, and in it `library` is
// Asio's.

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

#include <tocsin/adapters/detail/ending_queue.hpp>
#include <tocsin/inbox.hpp>
#include <tocsin/safe_point.hpp>
#include <tocsin/timer_fd.hpp>

namespace tocsin::TOCSIN_ADAPTER {

namespace detail {

template <class Context>
concept execution_context = std::is_convertible_v<Context&, library::execution_context&>;

// A descriptor that says when there is something to take() from a Source. Shared by its owner and the waits under way, which
// may be found ready before the owner goes and run after it.
template <class Executor, class Source>
class watched {
public:
    using value_type = typename Source::value_type;

    template <class... Arguments>
    explicit watched(const Executor& executor, const Arguments&... arguments)
        : executor_(executor)
        , source_(std::in_place, arguments...)
        , descriptor_(std::in_place, executor, source_->native_handle())
    {}

    [[nodiscard]] Executor executor() const { return executor_; }
    [[nodiscard]] Source& source() noexcept { return *source_; }

    void cancel()
    {
        const std::lock_guard hold(mutex_);
        ++cancels_;
        descriptor_->cancel();
    }

    // The descriptor is the source's, which closes it: Asio forgets it before.
    void close()
    {
        std::optional<Source> gone; // ends without the mutex
        const std::lock_guard hold(mutex_);
        ++cancels_;
        descriptor_->release();
        descriptor_.reset();
        gone.swap(source_);
    }

    // `began`, a part of `self`, tells the waits that cancel() and close() have ended from later ones.
    template <class Self>
    void begin_wait(std::uint64_t& began, Self& self)
    {
        const std::lock_guard hold(mutex_);
        began = cancels_;
        descriptor_->async_wait(library::posix::descriptor_base::wait_read, std::move(self));
    }

    // False if it has been ended; `self` is as it was.
    template <class Self>
    bool wait_on(std::uint64_t began, Self& self)
    {
        const std::lock_guard hold(mutex_);
        if (began != cancels_)
            return false;
        descriptor_->async_wait(library::posix::descriptor_base::wait_read, std::move(self));
        return true;
    }

    enum class outcome : unsigned char { nothing, taken, cancelled };
    outcome take(std::uint64_t began, source_location where, value_type& value)
    {
        check_signals(where); // its handlers may throw or call cancel(): not below
        const std::lock_guard hold(mutex_);
        if (began != cancels_)
            return outcome::cancelled;
        const defer_signals later;
        auto found = source_->take(where);
        if (!found)
            return outcome::nothing;
        value = std::move(*found);
        return outcome::taken;
    }

private:
    const Executor executor_;
    std::mutex mutex_;
    std::optional<Source> source_;
    std::optional<library::posix::basic_stream_descriptor<Executor>> descriptor_;
    std::uint64_t cancels_ = 0;
};

// The operation behind async_wait(): until the descriptor is readable and there is something to take. Another wait may have been
// faster. What is taken goes to the handler at once, in the same call: there is no moment in which a cancellation could lose it.
template <class Watched>
struct wait_operation {
    using value_type = typename Watched::value_type;
    using outcome = typename Watched::outcome;

    std::shared_ptr<Watched> watched;
    source_location where;
    std::uint64_t began = 0;

    template <class Self>
    void operator()(Self& self)
    {
#if TOCSIN_ADAPTER_VERSION >= 101900
        self.reset_cancellation_state(library::enable_total_cancellation());
#endif
        const auto keep = watched; // this object goes with `self`, which may be done with before the call is
        keep->begin_wait(began, self);
    }

    template <class Self>
    void operator()(Self& self, error_code error)
    {
        if (error || is_cancelled(self))
            return end(self, error);
        value_type value{};
        outcome found = outcome::nothing;
        try {
            found = watched->take(began, where, value);
        } catch (...) { // a handler of the main thread has thrown: the wait goes on
            wait_on(self);
            throw;
        }
        if (found == outcome::nothing)
            wait_on(self);
        else if (found == outcome::taken)
            self.complete(error_code(), std::move(value));
        else
            end(self);
    }

private:
    template <class Self>
    void wait_on(Self& self)
    {
        const auto keep = watched; // as above
        if (!keep->wait_on(began, self))
            end(self);
    }

    template <class Self>
    static void end(Self& self, error_code error = {})
    {
        self.complete(error ? error : error_code(library::error::operation_aborted), value_type{});
    }

    template <class Self>
    static bool is_cancelled([[maybe_unused]] const Self& self)
    {
#if TOCSIN_ADAPTER_VERSION >= 101900
        return self.get_cancellation_state().cancelled() != library::cancellation_type::none;
#else
        return false;
#endif
    }
};

// What both classes below are.
template <class Executor, class Source>
class waitable {
public:
    using executor_type = Executor;
    using value_type = typename Source::value_type;

    waitable(waitable&&) noexcept = default;
    waitable& operator=(waitable&& other) noexcept
    {
        if (this != &other) {
            end();
            watched_ = std::move(other.watched_);
        }
        return *this;
    }
    ~waitable() { end(); }

    [[nodiscard]] executor_type get_executor() const { return watched_->executor(); }

    /// Ends the waits that are under way: they complete with operation_aborted. None of them takes anything after this
    /// returns; what has arrived stays for the next wait.
    /// Context: any thread. Blocks: no.
    void cancel() { watched_->cancel(); }

protected:
    template <class... Arguments>
    explicit waitable(const Executor& executor, const Arguments&... arguments)
        : watched_(std::make_shared<watched<Executor, Source>>(executor, arguments...))
    {}

    template <class Token>
    auto start(Token&& token, source_location where)
    {
        using operation = wait_operation<watched<Executor, Source>>;
        return library::async_compose<Token, void(error_code, value_type)>(operation{watched_, where}, token,
                                                                           watched_->executor());
    }

    [[nodiscard]] Source& source() noexcept { return watched_->source(); }
    [[nodiscard]] const Source& source() const noexcept { return watched_->source(); }

private:
    void end() noexcept
    {
        if (watched_ != nullptr)
            watched_->close();
    }

    std::shared_ptr<watched<Executor, Source>> watched_;
};

struct signal_source {
    using value_type = event;

    signal_source(const signal_set& signals, const subscription_options& options)
        : held(box.on(signals, options))
    {}
    [[nodiscard]] int native_handle() noexcept { return box.native_handle(); }
    std::optional<event> take(source_location where) { return box.try_next(where); }

    inbox box;
    subscription held;
};

struct timer_source {
    using value_type = std::uint64_t;

    explicit timer_source(int clock)
        : fd(clock, timer_fd::nonblock)
    {}
    [[nodiscard]] int native_handle() const noexcept { return fd.native_handle(); }
    std::optional<std::uint64_t> take(source_location)
    {
        const timer_read found = fd.try_read();
        if (found.what == timer_read::outcome::none)
            return std::nullopt;
        return found.expirations;
    }

    timer_fd fd;
};

} // namespace detail

/// Signals as an I/O object of Asio's: an inbox with one subscription, for one or more signals.
///
/// As Asio's own: the context outlives it; it is made and used on any thread. Beyond them, async_wait() and cancel() may be
/// called by several threads at once, and the context may be run by several. After fork() the context's notify_fork() comes as
/// for every program; what arrived before then is not lost, and never reaches the other process.
template <class Executor = library::any_io_executor>
class basic_signals : public detail::waitable<Executor, detail::signal_source> {
    using base = detail::waitable<Executor, detail::signal_source>;

public:
    template <class Other>
    struct rebind_executor {
        using other = basic_signals<Other>;
    };

    /// Begins to listen: what arrives before the first async_wait() is kept for it.
    /// Errors: as inbox() and inbox::on(); Asio's system_error if the descriptor cannot be watched.
    /// Guarantees: as of inbox::on().
    basic_signals(const Executor& executor, const signal_set& signals, const subscription_options& options = {})
        : base(executor, signals, options)
    {}
    template <detail::execution_context Context>
    basic_signals(Context& context, const signal_set& signals, const subscription_options& options = {})
        : base(context.get_executor(), signals, options)
    {}

    /// Waits for one event: a call of the subscription, as its options have it. Several waits may be under way: each event
    /// goes to one of them. Completes with void(error_code, event), on the handler's executor and never inside this call; the
    /// event's `where` is this call. Ended by cancel(), by the destructor, or by its cancellation slot (terminal, partial and
    /// total): operation_aborted, and no event is taken.
    /// A safe point of the main thread is passed there: what its handlers throw leaves from the context's run(), and the wait goes on.
    /// Context: any thread. Blocks: no. Errors: std::bad_alloc.
    template <class Token = library::default_completion_token_t<Executor>>
    auto async_wait(Token&& token = Token(), source_location where = source_location::current())
    {
        return base::start(std::forward<Token>(token), where);
    }

    /// What it listens to, and the numbers of its calls and drops. Context: any thread.
    [[nodiscard]] const tocsin::subscription& subscription() const noexcept { return base::source().held; }
};

/// A timer descriptor as an I/O object of Asio's. Not armed at first: set it with fd(). Threads and lifetime: as
/// basic_signals; but a child after fork() shares the timer with its parent, as every descriptor, and should make its own.
template <class Executor = library::any_io_executor>
class basic_timer : public detail::waitable<Executor, detail::timer_source> {
    using base = detail::waitable<Executor, detail::timer_source>;

public:
    template <class Other>
    struct rebind_executor {
        using other = basic_timer<Other>;
    };

    /// Clocks and errors: as timerfd_create(); Asio's system_error if the descriptor cannot be watched.
    explicit basic_timer(const Executor& executor, int clock = CLOCK_MONOTONIC)
        : base(executor, clock)
    {}
    template <detail::execution_context Context>
    explicit basic_timer(Context& context, int clock = CLOCK_MONOTONIC)
        : base(context.get_executor(), clock)
    {}

    /// To set it, at any time: a wait that is under way is for the new setting then. Not to be closed or replaced.
    [[nodiscard]] timer_fd& fd() noexcept { return base::source().fd; }

    /// Waits for an expiry. Completes with void(error_code, std::uint64_t): how many there were since the last, at least 1; 0
    /// if the clock was set and the timer was to tell (timer_fd::cancel_on_set): set it again. Otherwise as
    /// basic_signals::async_wait().
    template <class Token = library::default_completion_token_t<Executor>>
    auto async_wait(Token&& token = Token(), source_location where = source_location::current())
    {
        return base::start(std::forward<Token>(token), where);
    }
};

/// Any number of timers as an I/O object of Asio's, on one descriptor (timer_queue): callbacks run in the context's run(), on
/// the executor, and may do anything, destroying this included; its timers are no longer scheduled then. What they throw
/// leaves from run(), and the others go on. It keeps run() from returning, as any wait under way does.
///
/// The context outlives it, and takes no function along when it ends, as it does with handlers: one that owns this, directly or
/// not, keeps it for ever. The executor must not run two things at a time: a strand, if several threads run the context.
/// After fork() and notify_fork() the child has the same timers, by itself.
/// Context: that executor, or any thread while the context does not run.
template <class Executor = library::any_io_executor>
class basic_timers {
public:
    using executor_type = Executor;
    template <class Other>
    struct rebind_executor {
        using other = basic_timers<Other>;
    };

    /// Errors: as timer_queue(); std::bad_alloc; Asio's system_error if the descriptor cannot be watched.
    explicit basic_timers(const Executor& executor, int clock = CLOCK_MONOTONIC)
        : running_(std::make_shared<running>(executor, clock))
    {
        running::wait(running_);
    }
    template <detail::execution_context Context>
    explicit basic_timers(Context& context, int clock = CLOCK_MONOTONIC)
        : basic_timers(Executor(context.get_executor()), clock)
    {}
    basic_timers(basic_timers&&) noexcept = default;
    basic_timers& operator=(basic_timers&& other) noexcept
    {
        if (this != &other) {
            end();
            running_ = std::move(other.running_);
        }
        return *this;
    }
    ~basic_timers() { end(); }

    [[nodiscard]] executor_type get_executor() const { return running_->descriptor->get_executor(); }
    /// To schedule timers in, at any time. Do not move it away.
    [[nodiscard]] timer_queue& queue() noexcept { return running_->ending.queue; }

private:
    // Shared with the wait that is under way.
    struct running {
        running(const Executor& executor, int clock)
            : ending(clock)
            , descriptor(std::in_place, executor, ending.queue.native_handle())
        {}
        static void wait(std::shared_ptr<running> self)
        {
            auto& descriptor = *self->descriptor;
            descriptor.async_wait(library::posix::descriptor_base::wait_read,
                                  [self = std::move(self)](error_code) mutable { expired(std::move(self)); });
        }
        static void expired(std::shared_ptr<running> self)
        {
            try {
                if (self->ending.open())
                    self->ending.queue.run_expired();
            } catch (...) {
                if (self->ending.open())
                    wait(std::move(self));
                throw;
            }
            if (self->ending.open())
                wait(std::move(self));
        }
        // The descriptor is the queue's, which closes it: Asio forgets it before.
        void close()
        {
            descriptor->release();
            descriptor.reset();
            ending.end();
        }

        tocsin::detail::ending_queue ending;
        std::optional<library::posix::basic_stream_descriptor<Executor>> descriptor;
    };

    void end() noexcept
    {
        if (running_ != nullptr)
            running_->close();
    }

    std::shared_ptr<running> running_;
};

using signals = basic_signals<>;
using timer = basic_timer<>;
using timers = basic_timers<>;

} // namespace tocsin::TOCSIN_ADAPTER
