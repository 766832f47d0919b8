// A service of systemd, in sd-event's loop: SIGHUP reads its settings anew, SIGTERM stops it, and the manager is told.
//
// The unit says Type=notify-reload. The manager learns when the service is ready, when it has taken the new settings and that
// it stops, with a word on who asked: `systemctl status` shows it. No signal is blocked, as sd_event_add_signal() wants it,
// so what the service executes gets a clean mask.
//
//     echo 500 > beat; NOTIFY_SOCKET=... ./sd_event_service beat &  echo 100 > beat; kill -HUP $!; kill $!
//
// Exit status: 0 stopped by a signal, 1 error, 2 wrong arguments.

#include <tocsin/adapters/sd_event.hpp>
#include <tocsin/tocsin.hpp>

#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <ctime>
#include <exception>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "../descriptor.hpp"

namespace {

using milliseconds = std::chrono::milliseconds;

void check(int result, const char* call)
{
    if (result < 0)
        throw std::system_error(-result, std::generic_category(), call);
}

/// For the manager, if there is one: sd_notify(3).
void notify(const std::string& state) { check(::sd_notify(0, state.c_str()), "sd_notify"); }

milliseconds period_from(const std::string& path)
{
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    const auto number = example::parse_number(line.c_str(), 1L, 86'400'000L);
    if (!number)
        throw std::runtime_error(path + ": not a number of milliseconds from 1 to 86400000");
    return milliseconds(*number);
}

class service {
public:
    explicit service(std::string path)
        : path_(std::move(path))
    {
        load();
        notify("READY=1");
        check(::sd_event_set_watchdog(loop_.get(), 1), "sd_event_set_watchdog"); // if the unit has WatchdogSec=
    }

    int run()
    {
        const int status = ::sd_event_loop(loop_.get());
        if (error_)
            std::rethrow_exception(error_);
        check(status, "sd_event_loop");
        std::cout << "Stopped after " << beats_ << " beats" << std::endl;
        return status;
    }

private:
    void load()
    {
        const milliseconds period = period_from(path_);
        beat_.fd().settime_ns(period, period);
        std::cout << "A beat every " << period.count() << " ms" << std::endl;
    }

    void reload(const tocsin::event& e)
    {
        timespec now{};
        ::clock_gettime(CLOCK_MONOTONIC, &now);
        notify("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(now.tv_sec * 1'000'000 + now.tv_nsec / 1000));
        std::string status = "Settings read, " + tocsin::describe(e.info);
        try {
            load();
        } catch (const std::runtime_error& error) { // the old ones hold
            std::cout << "Not reloaded: " << error.what() << std::endl;
            status = "The settings are wrong";
        }
        notify("READY=1\nSTATUS=" + status);
    }

    void stop(const tocsin::event& e)
    {
        const std::string who = tocsin::describe(e.info);
        std::cout << "Stopping: " << who << std::endl;
        notify("STOPPING=1\nSTATUS=Stopped by " + who);
        ::sd_event_exit(loop_.get(), 0);
    }

    void beat(std::uint64_t times)
    {
        beats_ += times;
        std::cout << "Beat " << beats_ << std::endl;
    }

    // What a callback throws cannot pass through sd-event.
    void fail(const std::exception_ptr& error)
    {
        error_ = error;
        ::sd_event_exit(loop_.get(), 1);
    }

    struct unref {
        void operator()(::sd_event* loop) const noexcept { ::sd_event_unref(loop); }
    };
    static ::sd_event* new_loop()
    {
        ::sd_event* made = nullptr;
        check(::sd_event_default(&made), "sd_event_default");
        return made;
    }

    std::string path_;
    std::uint64_t beats_ = 0;
    std::exception_ptr error_;
    std::unique_ptr<::sd_event, unref> loop_{new_loop()};
    tocsin::sd_event::timer beat_{loop_.get(), [this](std::uint64_t times) { beat(times); }};
    tocsin::sd_event::signals signals_{loop_.get(), [this](const std::exception_ptr& error) { fail(error); }};
    tocsin::subscription reload_ = signals_.on(SIGHUP, [this](const tocsin::event& e) { reload(e); });
    tocsin::subscription stop_ = signals_.on({SIGINT, SIGTERM}, [this](const tocsin::event& e) { stop(e); });
};

} // namespace

int main(int argc, char** argv)
{
    if (argc != 2) {
        std::cerr << "usage: sd_event_service FILE\n"
                     "Beats every so many milliseconds as FILE says until Ctrl-C or SIGTERM; SIGHUP reads it anew.\n";
        return 2;
    }
    try {
        return service(argv[1]).run();
    } catch (const std::exception& error) {
        std::cerr << "sd_event_service: " << error.what() << '\n';
        return 1;
    }
}
