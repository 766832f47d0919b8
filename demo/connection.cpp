#include "connection.hpp"

#include <array>
#include <cerrno>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "http.hpp"

namespace demo {
namespace {

std::string piece(int number, int count)
{
    return "piece " + std::to_string(number) + " of " + std::to_string(count) + "\n";
}

bool would_block() noexcept { return errno == EAGAIN || errno == EWOULDBLOCK; }

} // namespace

bool connection::receive()
{
    std::array<char, 4096> buffer{};
    const auto size = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (size <= 0)
        return size == -1 && would_block();
    in_.append(buffer.data(), static_cast<std::size_t>(size));
    last_progress_ = clock::now();
    return true;
}

// Without MSG_NOSIGNAL: tocsin::runtime ignores SIGPIPE, and a client that has gone is an error like any other.
bool connection::send()
{
    while (!out_.empty()) {
        const auto size = ::send(fd_.get(), out_.data(), out_.size(), 0);
        if (size == -1)
            return would_block();
        out_.erase(0, static_cast<std::size_t>(size));
        last_progress_ = clock::now();
    }
    return true;
}

std::string_view connection::request_head() const noexcept
{
    if (answered_)
        return {};
    const auto end = in_.find(end_of_head);
    if (end != std::string::npos)
        return std::string_view(in_).substr(0, end);
    return in_.size() >= longest_head ? std::string_view(in_) : std::string_view();
}

void connection::answer(std::string text)
{
    out_ = std::move(text);
    answered_ = true;
}

void connection::answer_in_pieces(int count)
{
    std::size_t length = 0;
    for (int number = 1; number <= count; ++number)
        length += piece(number, count).size();
    pieces_ = count;
    answer(response_head("200 OK", length));
}

void connection::next_piece()
{
    if (sent_pieces_ == pieces_)
        return;
    ++sent_pieces_;
    out_ += piece(sent_pieces_, pieces_);
}

unsigned connection::interest() const noexcept
{
    // Input after the request is of no interest, and would be reported for ever.
    if (!answered_)
        return EPOLLIN;
    return out_.empty() ? 0U : EPOLLOUT;
}

} // namespace demo
