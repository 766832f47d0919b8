// Who has fallen silent? Reads names, one on each line, and takes each as a sign of life; says so when none has come from
// somebody for as long as was agreed. Any number of names, one timer each, all on one descriptor.
//
//     (echo ann; echo bob; sleep 1; echo ann; sleep 3) | ./10_heartbeats 2
//
// Each name is a timer of a timer_queue: a sign of life puts it off, which costs a store. Nothing is read from the clock, set
// in the kernel or allocated for it.
// At the end of the input it waits until all have fallen silent. Exit status: 0 done, 1 error, 2 wrong arguments; death by
// SIGINT after Ctrl-C.

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <exception>
#include <iostream>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include <tocsin/tocsin.hpp>

#include "descriptor.hpp"

namespace {

class watch {
public:
    explicit watch(std::chrono::seconds patience)
        : patience_(patience)
    {}

    void hear(const std::string& name)
    {
        auto [found, is_new] =
            known_.emplace(std::piecewise_construct, std::forward_as_tuple(name), std::forward_as_tuple(*this, name));
        somebody& who = found->second;
        if (!who.scheduled())
            std::cout << name << (is_new ? " is there" : " is back") << std::endl;
        queue_.schedule(who, patience_);
    }

    // Until the input has ended and nobody is left.
    void run()
    {
        bool open = true;
        while (open || !queue_.empty()) {
            pollfd both[] = {{queue_.native_handle(), POLLIN, 0}, {open ? STDIN_FILENO : -1, POLLIN, 0}};
            tocsin::blocking::poll(both, 2, -1);
            if (both[1].revents != 0)
                open = read_lines();
            queue_.run_expired();
        }
    }

private:
    struct somebody : tocsin::timer {
        somebody(watch& w, std::string n)
            : timer([](timer& self) { static_cast<somebody&>(self).fell_silent(); })
            , of(w)
            , name(std::move(n))
        {}
        void fell_silent() const
        {
            std::cout << name << " has been silent for " << of.patience_.count() << " s" << std::endl;
        }

        const watch& of;
        const std::string name;
    };

    bool read_lines()
    {
        char part[4096];
        const ssize_t count = tocsin::blocking::read(STDIN_FILENO, part, sizeof part);
        text_.append(part, static_cast<std::size_t>(count));
        if (count == 0 && !text_.empty())
            text_ += '\n';
        std::size_t begin = 0;
        for (std::size_t end = 0; (end = text_.find('\n', begin)) != std::string::npos; begin = end + 1) {
            if (end > begin)
                hear(text_.substr(begin, end - begin));
        }
        text_.erase(0, begin);
        return count > 0;
    }

    const std::chrono::seconds patience_;
    tocsin::timer_queue queue_;
    std::map<std::string, somebody> known_;
    std::string text_;
};

} // namespace

int main(int argc, char** argv)
{
    const std::optional<unsigned> patience = argc == 2 ? example::parse_number(argv[1], 1U, 86400U) : std::nullopt;
    if (!patience) {
        std::cerr << "usage: 10_heartbeats SECONDS\n"
                     "Reads names, one on each line; tells who has not been named for SECONDS (1 to 86400).\n";
        return 2;
    }
    try {
        example::check(::fcntl(STDIN_FILENO, F_GETFD), "standard input"); // or the queue's descriptor takes its number
        return tocsin::run_main([&] { watch(std::chrono::seconds(*patience)).run(); });
    } catch (const std::exception& error) {
        std::cerr << "10_heartbeats: " << error.what() << '\n';
        return 1;
    }
}
