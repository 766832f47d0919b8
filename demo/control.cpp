#include "control.hpp"

#include <exception>
#include <string_view>
#include <utility>

#include "log.hpp"
#include "sender.hpp"

namespace demo {
namespace {

/// Enters an arrival and says who sent it and how long ago.
std::string enter(account& into, const tocsin::event& e)
{
    const auto latency = time_since_sent(e.info); // first: what follows takes time too
    ++into.calls;
    into.arrivals += e.count;
    std::string text = e.signo.name() + " from " + describe_sender(e.info);
    if (latency) {
        into.latency.add(*latency);
        text += ", sent " + in_ms(*latency) + " ago";
    }
    return text;
}

std::string place(const tocsin::source_location& where)
{
    const std::string_view file = where.file_name();
    return std::string(file.substr(file.rfind('/') + 1)) + ":" + std::to_string(where.line());
}

} // namespace

control::control(std::string config_path)
    : config_path_(std::move(config_path))
    , settings_(load_config(config_path_))
{}

void control::install(std::function<std::string()> summary, std::function<void()> on_stop)
{
    summary_ = std::move(summary);
    on_stop_ = std::move(on_stop);
    tocsin::signal(SIGHUP, [this](const tocsin::event& e) { reload(e); });
    tocsin::signal(SIGUSR1, [this](const tocsin::event& e) { report(e); });
    tocsin::signal(SIGUSR2, [this](const tocsin::event& e) { poke(e); });
    tocsin::signal(SIGTERM, [this](const tocsin::event& e) { stop(e); });
    // Started with SIGINT ignored (by nohup, or in the background of a script), a program is to leave it so.
    if (tocsin::getsignal(SIGINT) != tocsin::ignore)
        tocsin::signal(SIGINT, [this](const tocsin::event& e) { stop(e); });
}

void control::reload(const tocsin::event& cause)
{
    // The same number, two meanings: an administrator's kill -HUP, and a terminal that has gone away.
    if (cause.info.origin() == tocsin::origin::terminal)
        return stop(cause);
    const std::string what = enter(reloads_, cause);
    try {
        settings_ = load_config(config_path_);
        say(what, ": configuration re-read, greeting is \"", settings_.greeting, "\"");
    } catch (const std::exception& error) {
        say(what, ": the old configuration stays: ", error.what());
    }
}

void control::report(const tocsin::event& cause)
{
    say(enter(reports_, cause), ", handled at ", place(cause.where));
    say("  ", summary_());
    say("  ", reloads_.calls, " reloads, ", reports_.calls, " reports, ", pokes_.arrivals, " arrivals of SIGUSR2");
}

// Says nothing: a flood would become a flood of lines. Looks up no name either, so that it is about signals alone.
void control::poke(const tocsin::event& cause)
{
    if (const auto latency = time_since_sent(cause.info))
        pokes_.latency.add(*latency);
    ++pokes_.calls;
    pokes_.arrivals += cause.count;
}

void control::say_pokes()
{
    if (pokes_.arrivals == pokes_said_)
        return;
    pokes_said_ = pokes_.arrivals;
    say("SIGUSR2: ", pokes_.arrivals, " arrivals so far, in ", pokes_.calls, " calls of the handler");
}

void control::stop(const tocsin::event& cause)
{
    account once;
    const std::string what = enter(once, cause);
    if (stop_request_)
        return say(what, ": already stopping");
    stop_request_ = cause;
    if (tocsin::getsignal(SIGINT) != tocsin::ignore)
        tocsin::signal(SIGINT, tocsin::default_action);
    say(what, ": stopping when the requests in flight are finished; Ctrl-C ends at once");
    on_stop_();
}

} // namespace demo
