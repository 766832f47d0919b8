#pragma once

/// All of tocsin but the adapters.

#include <tocsin/background.hpp>
#include <tocsin/blocking.hpp>
#include <tocsin/child_watcher.hpp>
#include <tocsin/clock.hpp>
#include <tocsin/config.hpp>
#include <tocsin/deadline.hpp>
#include <tocsin/error.hpp>
#include <tocsin/event.hpp>
#include <tocsin/fork.hpp>
#include <tocsin/handler.hpp>
#include <tocsin/inbox.hpp>
#include <tocsin/interpreter.hpp>
#include <tocsin/interval.hpp>
#include <tocsin/itimer.hpp>
#include <tocsin/lossless_inbox.hpp>
#include <tocsin/mask.hpp>
#include <tocsin/nudge.hpp>
#include <tocsin/runtime.hpp>
#include <tocsin/safe_point.hpp>
#include <tocsin/seconds.hpp>
#include <tocsin/send.hpp>
#include <tocsin/siginfo.hpp>
#include <tocsin/signal.hpp>
#include <tocsin/signal_set.hpp>
#include <tocsin/signum.hpp>
#include <tocsin/source_location.hpp>
#include <tocsin/stop.hpp>
#include <tocsin/subscription.hpp>
#include <tocsin/timer_fd.hpp>
#include <tocsin/timer_queue.hpp>
#include <tocsin/wait.hpp>
#include <tocsin/wakeup.hpp>
