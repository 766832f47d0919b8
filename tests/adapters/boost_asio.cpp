#include <tocsin/adapters/boost_asio.hpp>

#include <boost/asio.hpp>
#ifdef BOOST_ASIO_HAS_CO_AWAIT
#define TEST_COROUTINES
#if BOOST_ASIO_VERSION >= 102100
#include <boost/asio/experimental/awaitable_operators.hpp>
#define TEST_AWAITABLE_OPERATORS
#endif
#endif

namespace library = ::boost::asio;
namespace adapter = tocsin::boost_asio;
using system_error = ::boost::system::system_error;

#define SUITE boost_asio
#define LIBRARY_VERSION BOOST_ASIO_VERSION
#include "asio_cases.hpp"
