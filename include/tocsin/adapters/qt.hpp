#pragma once

/// Signals and timers as Qt 6 objects. Link with Qt6::Core.
///
/// The classes have Qt's own signals, so moc must see this header in one target; CMake does it with
///     find_path(TOCSIN_INCLUDE_DIR tocsin/tocsin.hpp)
///     target_sources(app PRIVATE ${TOCSIN_INCLUDE_DIR}/tocsin/adapters/qt.hpp)
///     set_target_properties(app PROPERTIES AUTOMOC ON)

#include <QtCore/QObject>
#include <QtCore/QSocketNotifier>

#include <ctime>

#include <concepts>
#include <memory>
#include <utility>
#include <vector>

#include <tocsin/adapters/detail/callbacks.hpp>
#include <tocsin/tocsin.hpp>

namespace tocsin::qt {

/// An inbox in the event loop of this object's thread, which emits received().
///     auto* const stop = new tocsin::qt::signal_notifier({SIGINT, SIGTERM}, &app);
///     QObject::connect(stop, &tocsin::qt::signal_notifier::received, &app, &QCoreApplication::quit);
///
/// Slots may do anything, destroying this and running an event loop included, but throw. A slot in another thread gets a
/// copy of the event. Goes to another thread by moveToThread(), like any object, but not from a slot of its own. It may
/// outlive the event loop and QCoreApplication; nothing is called then any more. After fork() the event loop of the forking
/// thread goes on in the child, as far as Qt itself does, and this with it.
/// Context: the object's thread, which must have an event dispatcher: after QCoreApplication has been made, in QThread::run(),
/// or after a QEventLoop has been made in that thread.
class signal_notifier : public QObject {
    Q_OBJECT

public:
    /// Listens to nothing yet. Errors: as inbox(); std::bad_alloc.
    explicit signal_notifier(QObject* parent = nullptr)
        : QObject(parent)
    {
        connect(&readable_, &QSocketNotifier::activated, this, [this] { state_->ready(); }); // a slot may destroy this
    }
    /// Listens to these. Errors: as inbox() and inbox::on().
    explicit signal_notifier(const signal_set& set, QObject* parent = nullptr)
        : signal_notifier(set, subscription_options(), parent)
    {}
    signal_notifier(const signal_set& set, const subscription_options& options, QObject* parent = nullptr)
        : signal_notifier(parent)
    {
        listen(set, options);
    }
    /// Ends the subscriptions, as ~inbox() does.
    ~signal_notifier() override
    {
        readable_.setEnabled(false); // before the descriptor is closed
        state_->close();
    }

    /// Emits received() for these too, until cancel(). Errors: as inbox::on().
    void listen(const signal_set& set, const subscription_options& options = {})
    {
        listening_.reserve(listening_.size() + 1);
        listening_.push_back(state_->box.on(
            set,
            [this](const tocsin::event& e) {
                (void)state_->box.native_handle(); // looked at by an event loop that a slot runs
                Q_EMIT received(e);
            },
            options));
    }
    template <std::convertible_to<signum> Signal>
    void listen(Signal signal, const subscription_options& options = {})
    {
        listen(tocsin::detail::one_signal(signal), options);
    }

    /// Ends what listen() and the constructor have begun, as subscription::cancel() does: received() is not emitted after it.
    /// Context: any thread, but not at the same time as listen().
    void cancel() { const auto ended = std::exchange(listening_, {}); }

    /// For callbacks in place of slots: inbox().on().
    [[nodiscard]] tocsin::inbox& inbox() noexcept { return state_->box; }
    /// Takes what such callbacks throw. Slots must not throw: that is Qt's rule.
    void on_error(error_handler take) { state_->on_error = std::move(take); }

Q_SIGNALS:
    void received(const tocsin::event& event);

private:
    const std::shared_ptr<tocsin::detail::adapted_inbox> state_ = std::make_shared<tocsin::detail::adapted_inbox>();
    std::vector<subscription> listening_;
    QSocketNotifier readable_{state_->box.native_handle(), QSocketNotifier::Read, this};
};

/// A timer descriptor that emits expired(): exact to the nanosecond, absolute times, any clock. Otherwise as signal_notifier.
///     tocsin::qt::timer timer;
///     timer.fd().settime(1.5, 0.5);
/// Across fork() both processes have the same timer: the child makes one for itself.
class timer : public QObject {
    Q_OBJECT

public:
    /// Not armed. Errors: as timerfd_create(); std::bad_alloc.
    explicit timer(QObject* parent = nullptr)
        : timer(CLOCK_MONOTONIC, parent)
    {}
    explicit timer(int clock, QObject* parent = nullptr)
        : QObject(parent)
        , state_(std::make_shared<tocsin::detail::adapted_timer>(
              [this](std::uint64_t expirations) { Q_EMIT expired(expirations); }, clock, error_handler()))
    {
        connect(&readable_, &QSocketNotifier::activated, this, [this] { state_->ready(); }); // a slot may destroy this
    }
    ~timer() override { readable_.setEnabled(false); }

    /// To set it: settime(), disarm(). Do not read or close it.
    [[nodiscard]] timer_fd& fd() noexcept { return state_->fd; }

Q_SIGNALS:
    /// How often since the last time or setting: at least 1. 0: the realtime clock was set (timer_fd::cancel_on_set), set the
    /// timer again.
    void expired(quint64 expirations);

private:
    const std::shared_ptr<tocsin::detail::adapted_timer> state_;
    QSocketNotifier readable_{state_->fd.native_handle(), QSocketNotifier::Read, this};
};

/// Any number of timers in the event loop of this object's thread, on one descriptor (timer_queue). Callbacks may do anything,
/// destroying this and running an event loop included: the others go on in it. Its timers are no longer scheduled once it is
/// destroyed. Otherwise as signal_notifier. Across fork() the child has the same timers, by itself.
///     tocsin::qt::timers timers;
///     const auto tick = timers.queue().every(40ms, [&] { view.update(); });
class timers : public QObject {
    Q_OBJECT

public:
    /// Errors: as timer_queue(); std::bad_alloc.
    explicit timers(QObject* parent = nullptr)
        : timers(CLOCK_MONOTONIC, parent)
    {}
    explicit timers(int clock, QObject* parent = nullptr)
        : QObject(parent)
        , state_(std::make_shared<tocsin::detail::adapted_queue>(clock, error_handler()))
    {
        connect(&readable_, &QSocketNotifier::activated, this,
                [this] { state_->ready(); }); // a callback may destroy this
    }
    ~timers() override
    {
        readable_.setEnabled(false); // before the descriptor is closed
        state_->ending.end();
    }

    /// To schedule timers in, at any time, on this object's thread. Do not move it away.
    [[nodiscard]] timer_queue& queue() noexcept { return state_->ending.queue; }
    /// Takes what callbacks throw.
    void on_error(error_handler take) { state_->on_error = std::move(take); }

private:
    const std::shared_ptr<tocsin::detail::adapted_queue> state_;
    QSocketNotifier readable_{state_->native_handle(), QSocketNotifier::Read, this};
};

} // namespace tocsin::qt
