#pragma once

// Signals and timers for standalone Asio, 1.18 or later (Debian: libasio-dev): see detail/asio.ipp.

#include <asio/any_io_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/compose.hpp>
#include <asio/error.hpp>
#include <asio/error_code.hpp>
#include <asio/execution_context.hpp>
#include <asio/posix/basic_stream_descriptor.hpp>
#include <asio/version.hpp>
#if ASIO_VERSION >= 101900
#include <asio/cancellation_state.hpp>
#endif

#define TOCSIN_ADAPTER asio
#define TOCSIN_ADAPTER_VERSION ASIO_VERSION
namespace tocsin::asio {
namespace library = ::asio;
using error_code = ::asio::error_code;
} // namespace tocsin::asio
#include <tocsin/adapters/detail/asio.ipp>
#undef TOCSIN_ADAPTER
#undef TOCSIN_ADAPTER_VERSION
