#include <tocsin/adapters/asio.hpp>

#include <asio.hpp>
#ifdef ASIO_HAS_CO_AWAIT
#include <asio/experimental/awaitable_operators.hpp>
#define TEST_COROUTINES
#define TEST_AWAITABLE_OPERATORS
#endif

namespace library = ::asio;
namespace adapter = tocsin::asio;
using system_error = ::asio::system_error;

#define SUITE asio
#define LIBRARY_VERSION ASIO_VERSION
#include "asio_cases.hpp"
