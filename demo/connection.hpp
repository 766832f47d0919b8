#pragma once

#include <string>
#include <string_view>

#include "log.hpp"
#include "unique_fd.hpp"

namespace demo {

/// One client: a request comes in, an answer goes out, at once or in pieces. The descriptor is non-blocking, so the
/// plain calls do: a signal cannot interrupt what does not wait.
class connection {
public:
    explicit connection(unique_fd fd)
        : fd_(std::move(fd))
    {}

    /// Takes in what has come. False when the client has gone.
    bool receive();
    /// Sends what it can. False when the client has gone.
    bool send();

    /// The head of a request that is complete and not yet answered; else empty.
    [[nodiscard]] std::string_view request_head() const noexcept;
    void answer(std::string text);
    /// Answers in `count` pieces, one at each call of next_piece().
    void answer_in_pieces(int count);
    void next_piece();

    [[nodiscard]] bool answered() const noexcept { return answered_; }
    [[nodiscard]] bool finished() const noexcept { return answered_ && out_.empty() && sent_pieces_ == pieces_; }
    /// EPOLLIN or EPOLLOUT: what to wait for.
    [[nodiscard]] unsigned interest() const noexcept;
    [[nodiscard]] clock::duration idle() const { return clock::now() - last_progress_; }

private:
    unique_fd fd_;
    std::string in_;
    std::string out_;
    bool answered_ = false;
    int pieces_ = 0;
    int sent_pieces_ = 0;
    clock::time_point last_progress_ = clock::now();
};

} // namespace demo
