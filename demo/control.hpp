#pragma once

#include <tocsin/tocsin.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "config.hpp"
#include "samples.hpp"

namespace demo {

/// What one kind of signal amounted to.
struct account {
    std::uint64_t calls = 0;    ///< of the handler
    std::uint64_t arrivals = 0; ///< merged into them
    samples latency;            ///< from the sender's clock to the handler, where the sender told the time
};

/// How the program is controlled from outside: one handler for each signal. Handlers run at safe points of the main
/// thread, so they are ordinary functions on ordinary members: no lock, no atomic, no self-pipe.
class control {
public:
    /// Reads the configuration. Errors: std::runtime_error if it cannot be used.
    explicit control(std::string config_path);

    /// Installs the handlers. `summary` is what SIGUSR1 reports; `on_stop` is called once, when a signal says so. The
    /// handlers refer to this object: it must live until they are gone, at the end of run_main() or of the runtime.
    void install(std::function<std::string()> summary, std::function<void()> on_stop);

    /// Valid until the next safe point: SIGHUP replaces it.
    [[nodiscard]] const config& settings() const noexcept { return settings_; }
    /// The signal that asks to stop, once there is one.
    [[nodiscard]] const std::optional<tocsin::event>& stop_request() const noexcept { return stop_request_; }

    [[nodiscard]] const account& reloads() const noexcept { return reloads_; }
    [[nodiscard]] const account& pokes() const noexcept { return pokes_; }
    /// Says how a flood is going, if anything has arrived since the last time.
    void say_pokes();

private:
    void reload(const tocsin::event& cause);
    void report(const tocsin::event& cause);
    void poke(const tocsin::event& cause);
    void stop(const tocsin::event& cause);

    std::string config_path_;
    config settings_;
    std::function<std::string()> summary_;
    std::function<void()> on_stop_;
    std::optional<tocsin::event> stop_request_;
    account reloads_;
    account reports_;
    account pokes_;
    std::uint64_t pokes_said_ = 0;
};

} // namespace demo
