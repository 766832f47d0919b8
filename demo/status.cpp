#include "server.hpp"

#include <sstream>

namespace demo {
namespace {

long long in_us(clock::duration time) { return std::chrono::duration_cast<std::chrono::microseconds>(time).count(); }

void write(std::ostream& out, const char* name, const account& of)
{
    out << '"' << name << "\":{\"calls\":" << of.calls << ",\"arrivals\":" << of.arrivals
        << ",\"timed\":" << of.latency.count() << ",\"median_us\":" << in_us(of.latency.median())
        << ",\"max_us\":" << in_us(of.latency.max()) << '}';
}

void write(std::ostream& out, const ticker& timer)
{
    out << '"' << timer.name() << "\":{\"period_ms\":" << in_us(timer.period()) / 1000 << ",\"ticks\":" << timer.ticks()
        << ",\"due\":" << timer.due() << ",\"merged\":" << timer.merged() << ",\"early\":" << timer.early()
        << ",\"latest_us\":" << in_us(timer.latest()) << '}';
}

} // namespace

/// JSON for programs such as demo/run.
std::string server::status() const
{
    std::ostringstream out;
    out << "{\"finished\":" << finished_ << ",\"open\":" << clients_.size() << ",\"timers\":{";
    const char* separator = "";
    for (const ticker* timer : timers_) {
        out << separator;
        write(out, *timer);
        separator = ",";
    }
    out << "},\"signals\":{";
    write(out, "SIGHUP", control_.reloads());
    out << ',';
    write(out, "SIGUSR2", control_.pokes());
    out << "}}\n";
    return out.str();
}

} // namespace demo
