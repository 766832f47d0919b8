// Writes its standard input to a file, in libev's loop, and gets along with log rotation: SIGHUP opens the file anew.
//
// What comes in is gathered and written four times a second, so each signal has something to do that no signal handler
// could: SIGHUP writes to the old file what belongs there before it opens the new one; SIGTERM and Ctrl-C read what is still
// in the pipe; SIGUSR1 writes at once, and says how much it was.
//
//     program | ./libev_logger program.log
//     mv program.log program.log.1; kill -HUP $(pidof libev_logger)
//
// Exit status: 0 end of the input or stopped by a signal, 1 error, 2 wrong arguments.

#include <tocsin/adapters/libev.hpp>
#include <tocsin/tocsin.hpp>

#include <ev.h>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdint>
#include <exception>
#include <iostream>
#include <string>
#include <utility>

#include "../descriptor.hpp"

namespace {

class logger {
public:
    explicit logger(std::string path)
        : path_(std::move(path))
    {
        ev_io_init(
            &input_, [](struct ev_loop*, ev_io* io, int) { static_cast<logger*>(io->data)->on_input(); }, STDIN_FILENO,
            EV_READ);
        input_.data = this;
        ::ev_io_start(loop_, &input_);
        writer_.fd().settime(0.25, 0.25);
        std::cout << "Writing to " << path_ << std::endl;
    }
    ~logger() { ::ev_io_stop(loop_, &input_); }
    logger(const logger&) = delete;
    logger& operator=(const logger&) = delete;

    void run()
    {
        ::ev_run(loop_, 0);
        if (failure_)
            std::rethrow_exception(failure_);
        write();
        std::cout << lines_ << " lines" << std::endl;
    }

private:
    static example::descriptor open(const std::string& path)
    {
        return example::descriptor(
            example::check(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666), path.c_str()));
    }

    // False at the end of the input.
    bool read()
    {
        std::array<char, 65536> data; // NOLINT: filled by read()
        const auto size = ::read(STDIN_FILENO, data.data(), data.size());
        if (size < 0 && errno == EAGAIN)
            return true;
        example::check(size < 0 ? -1 : 0, "standard input");
        gathered_.append(data.data(), static_cast<std::size_t>(size));
        return size > 0;
    }

    void write()
    {
        lines_ += static_cast<std::uint64_t>(std::count(gathered_.begin(), gathered_.end(), '\n'));
        for (std::size_t done = 0; done < gathered_.size();) {
            const auto size = ::write(file_.get(), gathered_.data() + done, gathered_.size() - done);
            example::check(size < 0 ? -1 : 0, path_.c_str());
            done += static_cast<std::size_t>(size);
        }
        gathered_.clear();
    }

    void reopen(const tocsin::event& e)
    {
        write();
        file_ = open(path_);
        std::cout << "Reopened: " << tocsin::describe(e.info) << std::endl;
    }

    void status(const tocsin::event& e)
    {
        write();
        std::cout << lines_ << " lines: " << tocsin::describe(e.info) << std::endl;
    }

    void stop(const tocsin::event& e)
    {
        for (pollfd input{STDIN_FILENO, POLLIN, 0}; ::poll(&input, 1, 0) == 1 && read();) {
        }
        std::cout << "Stopping: " << tocsin::describe(e.info) << std::endl;
        ::ev_break(loop_, EVBREAK_ALL);
    }

    // libev calls it: nothing may be thrown through its frames.
    void on_input() noexcept
    {
        try {
            if (!read())
                ::ev_break(loop_, EVBREAK_ALL);
        } catch (...) {
            fail(std::current_exception());
        }
    }

    // What our callbacks throw comes here too. run() throws it again.
    void fail(std::exception_ptr error)
    {
        failure_ = std::move(error);
        ::ev_break(loop_, EVBREAK_ALL);
    }

    const std::string path_;
    example::descriptor file_ = open(path_);
    std::string gathered_;
    std::uint64_t lines_ = 0;
    std::exception_ptr failure_;
    struct ev_loop* const loop_ = ::ev_default_loop(EVFLAG_AUTO); // never destroyed
    ev_io input_{};
    const tocsin::error_handler on_error_ = [this](std::exception_ptr error) { fail(std::move(error)); };
    tocsin::libev::timer writer_{loop_, [this](std::uint64_t) { write(); }, CLOCK_MONOTONIC, on_error_};
    tocsin::libev::signals signals_{loop_, on_error_};
    tocsin::subscription reopen_ = signals_.on(SIGHUP, [this](const tocsin::event& e) { reopen(e); });
    tocsin::subscription status_ = signals_.on(SIGUSR1, [this](const tocsin::event& e) { status(e); });
    tocsin::subscription stop_ = signals_.on({SIGINT, SIGTERM}, [this](const tocsin::event& e) { stop(e); });
};

} // namespace

int main(int argc, char** argv)
{
    if (argc != 2 || *argv[1] == '\0') {
        std::cerr << "usage: libev_logger FILE\n"
                     "Appends its standard input to FILE. SIGHUP opens FILE anew, SIGUSR1 asks how much there is.\n";
        return 2;
    }
    try {
        logger(argv[1]).run();
        return 0;
    } catch (const std::exception& error) {
        std::cerr << "libev_logger: " << error.what() << '\n';
        return 1;
    }
}
