#include <uv.h>

#include <csignal>

#include "subject.hpp"

namespace {

struct libuv : subject {
    uv_loop_t* loop = uv_default_loop();
    uv_signal_t handle;

    libuv()
    {
        uv_signal_init(loop, &handle);
        uv_signal_start(
            &handle, [](uv_signal_t*, int) { ++callbacks; }, SIGUSR1);
    }
    void turn() override { uv_run(loop, UV_RUN_NOWAIT); }
    void wait() override { uv_run(loop, UV_RUN_ONCE); }
};
const enlist<libuv> a("libuv");

} // namespace
