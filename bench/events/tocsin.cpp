#include <poll.h>

#include <tocsin/tocsin.hpp>

#include "subject.hpp"

namespace {

std::int64_t senders = 0;

void count(const tocsin::event& e)
{
    senders += e.info.native().si_pid;
    ++subject::callbacks;
}

struct awake_inbox : subject {
    tocsin::inbox box;
    tocsin::subscription sub = box.on(SIGUSR1, count);

    void turn() override { box.run_pending(); }
    void wait() override
    {
        box.wait();
        box.run_pending();
    }
};
const enlist<awake_inbox> a("tocsin inbox");

struct polled_inbox : subject {
    tocsin::inbox box;
    tocsin::subscription sub = box.on(SIGUSR1, count);
    pollfd each{box.native_handle(), POLLIN, 0};

    void turn() override
    {
        if (::poll(&each, 1, 0) == 1)
            box.run_pending();
    }
    void wait() override
    {
        if (::poll(&each, 1, -1) == 1)
            box.run_pending();
    }
};
const enlist<polled_inbox> b("tocsin inbox, polled");

struct main_thread : subject {
    tocsin::subscription sub = tocsin::on(SIGUSR1, count);

    void turn() override { tocsin::check_signals(); }
    void wait() override { tocsin::pause(); }
};
const enlist<main_thread> c("tocsin on(), main thread");

struct lossless : subject {
    tocsin::lossless_inbox box{{SIGUSR1}};

    void turn() override
    {
        if (const auto e = box.try_next())
            count(*e);
    }
    void wait() override { count(box.next()); }
};
const enlist<lossless> d("tocsin lossless inbox");

} // namespace
