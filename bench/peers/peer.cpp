#include "peer.hpp"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <sstream>
#include <thread>

namespace {

using std::chrono::steady_clock;

struct record {
    long count = 0;
    std::int64_t first = 0; // CLOCK_MONOTONIC, in nanoseconds, as the driver reads it
    sender who;
    int in_order = 0; // callbacks with the values 1, 2, 3, ...
};

std::array<record, 65> records;
int throws = 0;

std::int64_t now_ns() { return steady_clock::now().time_since_epoch() / std::chrono::nanoseconds{1}; }
double ms_since(std::int64_t start) { return static_cast<double>(now_ns() - start) / 1e6; }

// Standard input and output without a library that might retry, buffer or wait in its own way.
bool read_line(std::string& line)
{
    line.clear();
    for (char c = 0;;) {
        const ssize_t got = ::read(0, &c, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got != 1)
            return false;
        if (c == '\n')
            return true;
        line += c;
    }
}

void write_all(int fd, const std::string& text)
{
    for (std::size_t done = 0; done < text.size();) {
        const ssize_t put = ::write(fd, text.data() + done, text.size() - done);
        if (put < 0 && errno != EINTR)
            ::_exit(3);
        done += put > 0 ? static_cast<std::size_t>(put) : 0;
    }
}

long total()
{
    long sum = 0;
    for (const record& one : records)
        sum += one.count;
    return sum;
}

// Turns of the loop for that time, or until a callback has run.
std::string turns(peer& asked, int ms, bool until_called)
{
    const long before = total();
    const std::int64_t start = now_ns();
    try {
        do {
            const int left = ms - static_cast<int>(ms_since(start));
            if (!asked.turn(left > 0 ? left : 0))
                return "refused";
        } while (ms_since(start) < ms && !(until_called && total() != before));
    } catch (const std::runtime_error&) {
        return "threw";
    }
    return std::to_string(ms_since(start));
}

// A child that gets a signal of its own, at once or after it has done what the documentation asks for.
std::string fork_and_signal(peer& asked, int sig, bool repaired)
{
    asked.before_fork();
    const pid_t pid = ::fork();
    if (pid == 0) {
        if (repaired)
            asked.in_child();
        ::kill(::getpid(), sig);
        ::_exit(0);
    }
    asked.in_parent();
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return "ok";
}

// A child that lets the inherited loop run and tells how many callbacks it saw.
std::string fork_and_turn(peer& asked, int ms)
{
    if (!asked.usable_in_child())
        return "no";
    int answer[2];
    if (::pipe(answer) != 0)
        return "pipe failed";
    asked.before_fork();
    const pid_t pid = ::fork();
    if (pid == 0) {
        const long before = total();
        asked.in_child();
        const std::string how = turns(asked, ms, false);
        write_all(answer[1], how == "refused" ? how : std::to_string(total() - before));
        ::_exit(0);
    }
    asked.in_parent();
    ::close(answer[1]);
    std::string text(32, '\0');
    ssize_t got = 0;
    while ((got = ::read(answer[0], text.data(), text.size())) < 0 && errno == EINTR) {
    }
    ::close(answer[0]);
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    return text.empty() ? "died" : text;
}

// Unsubscribes at a random moment; the loop runs until right before it.
std::string off_race(peer& asked, int sig, int us)
{
    write_all(1, "ready\n");
    for (const std::int64_t start = now_ns(); now_ns() - start < us * 1000;)
        asked.turn(0);
    asked.off(sig);
    return "ok";
}

std::string start_thread()
{
    std::atomic<long> tid{0};
    std::thread([&tid] {
        tid = ::syscall(SYS_gettid);
        for (;;)
            ::pause();
    }).detach();
    while (tid == 0)
        std::this_thread::yield();
    return std::to_string(tid);
}

std::string describe(int sig)
{
    const record& one = records.at(static_cast<std::size_t>(sig));
    std::ostringstream text;
    text << one.count << ' ' << one.first;
    if (one.who.known)
        text << ' ' << one.who.pid << ' ' << one.who.uid << ' ' << one.who.code << ' ' << one.who.value;
    return text.str();
}

std::string obey(peer& asked, const std::string& line)
{
    std::istringstream words(line);
    std::string command;
    words >> command;
    auto number = [&] {
        int n = 0;
        words >> n;
        return n;
    };
    const auto start = now_ns();
    if (command == "on")
        return asked.on(number()), "ok";
    if (command == "off")
        return asked.off(number()), "ok";
    if (command == "run")
        return turns(asked, number(), false);
    if (command == "wait")
        return turns(asked, number(), true);
    if (command == "count")
        return describe(number());
    if (command == "in_order")
        return std::to_string(records.at(static_cast<std::size_t>(number())).in_order);
    if (command == "reset")
        return records.fill({}), "ok";
    if (command == "throw")
        return throws = number(), "ok";
    if (command == "thread")
        return start_thread();
    if (command == "fork_signal") {
        const int sig = number();
        return fork_and_signal(asked, sig, number() != 0);
    }
    if (command == "fork_turn")
        return fork_and_turn(asked, number());
    if (command == "off_race") {
        const int sig = number();
        return off_race(asked, sig, number());
    }
    if (command == "foreign")
        return foreign_install(number()) == 0 ? "ok" : "failed";
    if (command == "foreign_runs")
        return std::to_string(foreign_runs());
    if (command == "send") {
        const int sig = number();
        return send_many(sig, number()), "ok";
    }
    if (command == "send_both") {
        const int one = number();
        return send_both(one, number()), "ok";
    }
    if (command == "sleep") {
        const std::string how = asked.sleep(number());
        return how == "no" ? how : std::to_string(ms_since(start));
    }
    if (command == "timed_wait")
        return asked.timed_wait(number());
    if (command == "timer") {
        std::string text;
        words >> text;
        return asked.timer(std::stod(text));
    }
    return "no such command";
}

} // namespace

void called(int sig, const sender& who)
{
    record& one = records.at(static_cast<std::size_t>(sig));
    if (one.count++ == 0)
        one.first = now_ns();
    one.who = who;
    one.in_order += who.known && who.value == one.in_order + 1;
    if (throws == sig) {
        throws = 0;
        throw std::runtime_error("as asked");
    }
}

void mark() { ::syscall(SYS_getppid); }

bool was_called(int sig) { return records.at(static_cast<std::size_t>(sig)).count != 0; }

int serve(peer& asked)
{
    for (std::string line; read_line(line);)
        write_all(1, obey(asked, line) + '\n');
    return 0;
}
