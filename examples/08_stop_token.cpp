// Workers that end on Ctrl-C, and say who asked for it, without a signal handler, a loop or a descriptor.
//
// The main thread and the workers wait where any C++20 program would: in a condition variable, with a stop token. The
// token comes from tocsin::stop_on(), which listens in a thread of its own, so nobody has to wake up now and then to look
// at a flag. A second Ctrl-C ends the program at once, should a worker not get to its end.
//
//     ./08_stop_token              two workers: Ctrl-C, or kill it from another terminal
//     ./08_stop_token WORKERS      so many, 1 to 64
//
// Exit status: 0 stopped by a signal, 1 an error, 2 wrong arguments; death by SIGINT or SIGTERM after the second one.

#include <condition_variable>
#include <csignal>
#include <exception>
#include <iostream>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

#include <tocsin/tocsin.hpp>

#include "descriptor.hpp"

namespace {

// Numbers to work on. Lines of output go through it too, so that they do not mix.
struct workshop {
    std::mutex mutex;
    std::condition_variable_any changed;
    std::vector<unsigned> jobs;
    std::size_t done = 0;
};

void work(workshop& shop, const std::stop_token& stop)
{
    std::unique_lock lock(shop.mutex);
    // True: there is something to do; false: it is time to end.
    while (shop.changed.wait(lock, stop, [&] { return !shop.jobs.empty(); })) {
        std::cout << "Job " << shop.jobs.back() << " done" << std::endl;
        shop.jobs.pop_back();
        ++shop.done;
    }
    std::cout << "A worker ends" << std::endl;
}

void run(unsigned workers)
{
    const auto stop = tocsin::stop_on({SIGINT, SIGTERM}, {.second_is_default = true});
    workshop shop;
    {
        std::vector<std::jthread> threads; // joined at the end of this block
        for (unsigned n = 0; n < workers; ++n)
            threads.emplace_back([&] { work(shop, stop); });
        std::unique_lock lock(shop.mutex);
        shop.jobs = {3, 2, 1};
        shop.changed.notify_all();
        std::cout << "Working; press Ctrl-C to end" << std::endl;
        shop.changed.wait(lock, stop.get_token(), [] { return false; });
        std::cout << "Stopping: " << tocsin::describe(stop.cause()->info) << std::endl;
    }
    std::cout << "Jobs done: " << shop.done << std::endl;
}

} // namespace

int main(int argc, char** argv)
{
    const std::optional<unsigned> workers = argc == 2 ? example::parse_number(argv[1], 1U, 64U) : 2U;
    if (argc > 2 || !workers) {
        std::cerr << "usage: 08_stop_token [WORKERS]\n"
                     "Works with WORKERS threads (1 to 64, default 2) until Ctrl-C or SIGTERM.\n";
        return 2;
    }
    try {
        run(*workers);
        return 0;
    } catch (const std::exception& error) {
        std::cerr << "08_stop_token: " << error.what() << '\n';
        return 1;
    }
}
