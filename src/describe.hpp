#pragma once

#include <string>
#include <string_view>

namespace tocsin::detail {

/// A text from elsewhere for a line of a log: what is not printable ASCII is written \xNN, a backslash twice.
std::string printable(std::string_view text);

} // namespace tocsin::detail
