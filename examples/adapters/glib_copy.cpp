// Copies standard input to standard output in a GLib main loop, and says how far it has come: to SIGUSR1, as dd does, when the
// terminal changes its size, and every so many seconds.
//
// Reading, writing, time and signals are sources of one loop, so nothing waits for anything else: a reader that stalls does
// not keep the answer to a signal. SIGUSR1 and SIGWINCH may come as often as they like: one line says how often.
//
//     ./glib_copy 1 < /dev/zero > /dev/null &  kill -USR1 $!; kill $!
//
// Exit status: 0 all copied, 1 error, 2 wrong arguments; death by SIGINT or SIGTERM after one of them.

#include <tocsin/adapters/glib.hpp>
#include <tocsin/tocsin.hpp>

#include <glib-unix.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "../descriptor.hpp"

namespace {

struct unref {
    void operator()(GMainLoop* loop) const noexcept { ::g_main_loop_unref(loop); }
};

class copy {
public:
    explicit copy(unsigned seconds)
    {
        wait_for(STDIN_FILENO, G_IO_IN);
        every_.fd().settime(seconds, seconds);
    }

    /// The signal that ended it, or 0.
    int run()
    {
        ::g_main_loop_run(loop_.get());
        if (error_)
            throw std::system_error(error_);
        return ended_by_;
    }

private:
    // A pipe that is ready for writing takes so many bytes (PIPE_BUF) without keeping us.
    static constexpr std::size_t most = 4096;

    void wait_for(int fd, GIOCondition what)
    {
        ::g_unix_fd_add(
            fd, what,
            [](gint, GIOCondition, gpointer self) -> gboolean {
                static_cast<copy*>(self)->go_on();
                return G_SOURCE_REMOVE; // the next one is added by go_on()
            },
            this);
    }

    void go_on()
    {
        const bool writing = !rest_.empty();
        const ssize_t size = writing ? ::write(STDOUT_FILENO, rest_.data(), rest_.size())
                                     : ::read(STDIN_FILENO, buffer_.data(), buffer_.size());
        if (size < 0 && errno != EINTR && errno != EAGAIN)
            error_ = std::error_code(errno, std::generic_category());
        if (error_ || (size == 0 && !writing)) {
            report("copied");
            ::g_main_loop_quit(loop_.get());
            return;
        }
        if (size > 0 && writing) {
            rest_.remove_prefix(static_cast<std::size_t>(size));
            copied_ += static_cast<std::uint64_t>(size);
        } else if (size > 0) {
            rest_ = {buffer_.data(), static_cast<std::size_t>(size)};
        }
        if (rest_.empty())
            wait_for(STDIN_FILENO, G_IO_IN);
        else
            wait_for(STDOUT_FILENO, G_IO_OUT);
    }

    void report(const std::string& why) const { std::cerr << copied_ << " bytes, " << why << std::endl; }

    std::unique_ptr<GMainLoop, unref> loop_{::g_main_loop_new(nullptr, FALSE)};
    std::array<char, most> buffer_{};
    std::string_view rest_; // read and not yet written
    std::uint64_t copied_ = 0;
    std::error_code error_;
    int ended_by_ = 0;
    tocsin::glib::signals signals_;
    tocsin::subscription asked_ = signals_.on({SIGUSR1, SIGWINCH}, [this](const tocsin::event& e) {
        report(tocsin::describe(e.info) + (e.count > 1 ? ", " + std::to_string(e.count) + " times" : ""));
    });
    tocsin::subscription end_ =
        signals_.on({SIGINT, SIGTERM},
                    [this](const tocsin::event& e) {
                        report(tocsin::describe(e.info));
                        ended_by_ = e.signo;
                        ::g_main_loop_quit(loop_.get());
                    },
                    {.respect_ignore = true}); // a shell's background job goes on when Ctrl-C ends another one
    tocsin::glib::timer every_{nullptr, [this](std::uint64_t) { report("going on"); }};
};

} // namespace

int main(int argc, char** argv)
{
    const std::optional<unsigned> seconds =
        argc == 1 ? 0 : (argc == 2 ? example::parse_number(argv[1], 0U, 86'400U) : std::nullopt);
    if (!seconds) {
        std::cerr
            << "usage: glib_copy [SECONDS]\n"
               "Copies standard input to standard output; reports to SIGUSR1, and every SECONDS (0 to 86400, 0 is "
               "never).\n";
        return 2;
    }
    try {
        tocsin::signal(SIGPIPE, tocsin::ignore); // write() says it
        if (const int sig = copy(*seconds).run(); sig != 0)
            ::raise(sig); // so that a shell's loop ends too
        return 0;
    } catch (const std::exception& error) {
        std::cerr << "glib_copy: " << error.what() << '\n';
        return 1;
    }
}
