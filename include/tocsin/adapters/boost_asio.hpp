#pragma once

// Signals and timers for Boost.Asio, Boost 1.74 or later (Debian: libboost-dev): see detail/asio.ipp.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/version.hpp>
#include <boost/system/error_code.hpp>
#if BOOST_ASIO_VERSION >= 101900
#include <boost/asio/cancellation_state.hpp>
#endif

#define TOCSIN_ADAPTER boost_asio
#define TOCSIN_ADAPTER_VERSION BOOST_ASIO_VERSION
namespace tocsin::boost_asio {
namespace library = ::boost::asio;
using error_code = ::boost::system::error_code;
} // namespace tocsin::boost_asio
#include <tocsin/adapters/detail/asio.ipp>
#undef TOCSIN_ADAPTER
#undef TOCSIN_ADAPTER_VERSION
